"""How commands print: data as JSON, errors as sentences on stderr. It must not know what it prints."""

from __future__ import annotations

import json
import sys
from typing import Any

from tidewire.core.errors import TidewireError


def print_json(data: Any) -> None:
    """Print ``data`` as one JSON document on stdout."""
    sys.stdout.write(json.dumps(data, default=str) + "\n")
    sys.stdout.flush()


def complain(error: TidewireError) -> None:
    """Say on stderr what happened, what to do and what will not happen."""
    lines = [f"error: {error.message}"]
    if error.required_action:
        lines.append(f"  to do: {error.required_action}")
    if error.will_not:
        lines.append(f"  note:  {error.will_not}")
    sys.stderr.write("\n".join(lines) + "\n")
