"""Alerts: rules over the figures of all nodes, what they have found, and who is told.

It must not know where figures come from, or how pages look.
"""
