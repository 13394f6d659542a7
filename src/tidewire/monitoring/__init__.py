"""The operator's feature: the live view of feed and platform that admins watch.

It learns everything from the bus; it must not hold a feed manager, and must not import another feature.
"""
