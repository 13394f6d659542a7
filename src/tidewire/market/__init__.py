"""The market feature: turns what the feed hands up into messages on the bus, and bus commands into feed calls.

It must not know web pages, viewers or accounts.
"""
