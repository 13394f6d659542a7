"""How messages travel between parts and processes: one protocol, an in-process and a Redis implementation.

The bus treats payloads as opaque bytes; it must not know what a tick, a room or a user is.
"""
