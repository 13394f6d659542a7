"""Tidewire: market feeds in, rooms out, every connection watched live.

This package's root knows only its version; ``app.py`` wires the floors together.
"""

__version__ = "0.1.0"
