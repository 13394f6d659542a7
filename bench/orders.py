"""A child process of a benchmark that does what it is told, line by line: a JSON command in, a JSON answer out.

It must not know what is measured.
"""

from __future__ import annotations

import json
import resource
import sys
import time

OPEN_FILES = 20_000


def obey(doer: object) -> None:
    """Call the method that each line of the standard input names, and answer with what it returned and its CPU time."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    for line in sys.stdin:
        command = json.loads(line)
        what = command.pop("do")
        cpu = time.process_time()
        answer = getattr(doer, what)(**command)
        print(json.dumps({**answer, "client_cpu_s": time.process_time() - cpu}), flush=True)
