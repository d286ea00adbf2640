"""How fast output is redacted and a supervised job starts. Prints; asserts nothing.

python bench/attempts.py
"""

import secrets
import sysconfig
import tempfile
import time
from pathlib import Path

import anyio

from marathond.attempt.job import Job
from marathond.attempt.lifecycle import launch, wait
from marathond.attempt.redact import Redactor

_CHUNK_BYTES = 64 * 1024
_SOURCE_BYTES_MAX = 12_000_000
_STARTS = 20


def redaction() -> None:
    """Megabytes per second of the standard library's source, with five secrets handed out."""
    files = Path(sysconfig.get_paths()["stdlib"]).glob("*.py")
    source = b"".join(path.read_bytes() for path in files)[:_SOURCE_BYTES_MAX]
    redactor = Redactor({f"KEY_{n}": secrets.token_urlsafe(40) for n in range(5)})
    begin = time.perf_counter()
    for at in range(0, len(source), _CHUNK_BYTES):
        redactor.feed(source[at : at + _CHUNK_BYTES])
    redactor.flush()
    took = time.perf_counter() - begin
    print(f"redaction: {len(source) / took / 1e6:.0f} MB/s over {len(source) / 1e6:.1f} MB of source")


async def starts() -> None:
    """Milliseconds until a job's start record is durable, and until an empty job is over."""
    begun, over = [], []
    with tempfile.TemporaryDirectory() as folder:
        for n in range(_STARTS):
            directory = Path(folder) / str(n)
            begin = time.perf_counter()
            job = Job(id=f"bench/task/{n}", argv=("true",), cwd=folder, timeout_ms=10_000)
            started = await launch(directory, job, env={"PATH": "/usr/bin:/bin"})
            begun.append(time.perf_counter() - begin)
            await wait(directory, started)
            over.append(time.perf_counter() - begin)
    middle = _STARTS // 2
    print(
        f"supervisor: started in {sorted(begun)[middle] * 1e3:.0f} ms, over in {sorted(over)[middle] * 1e3:.0f} ms (median)"
    )


if __name__ == "__main__":
    redaction()
    anyio.run(starts)
