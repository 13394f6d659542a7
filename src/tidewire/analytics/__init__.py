"""Analytics: figures over quotes and over what the platform does, live.

It must not know the other features; what they do reaches it through ``app/``.
"""
