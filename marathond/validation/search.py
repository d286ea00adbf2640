"""Searches a text for a regular expression, as a process of its own: `python -I -S search.py SECONDS`.

Python's `re` may need years for a pattern such as `(a+)+$`, and holds the interpreter's lock meanwhile. Here the kernel ends it
after SECONDS of processor time, whatever became of the daemon. The input is the pattern as a line of JSON, then the text.

Exit code 0: found; 1: not found. Standard library only.
"""

import json
import re
import resource
import sys

if __name__ == "__main__":
    seconds = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pattern, _, text = sys.stdin.buffer.read().partition(b"\n")
    found = re.search(json.loads(pattern), text.decode("utf-8", "replace"), re.MULTILINE)
    sys.exit(0 if found else 1)
