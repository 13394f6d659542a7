"""The environment as one frozen object: what the keys are (model), which contradict (check), how they are read (load).

It must not open a database or a socket; ``cli`` and ``app`` pass single values down, no floor below sees the object.
"""

from tidewire.settings.check import describe
from tidewire.settings.load import known_keys, load_settings
from tidewire.settings.model import ConnectionSettings, Settings

__all__ = ["ConnectionSettings", "Settings", "describe", "known_keys", "load_settings"]
