"""Rooms, sessions, outboxes, presence, history. It must not know features, HTTP or which socket library carries it.

Payloads are opaque bytes here; what they mean is known to the features above.
"""
