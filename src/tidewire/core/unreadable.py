"""What reading bytes can raise that somebody else has written. It must not know what was to be read.

All three, wherever such bytes are read: not what was asked for; text that is not UTF-8; and brackets nested deeper than
the reader follows, even in a member that nobody reads. Source: msgspec manual, "Exceptions"; Python manual.
"""

from __future__ import annotations

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
