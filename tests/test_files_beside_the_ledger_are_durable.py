"""Blobs, environments and the daemon's lock: files that are whole or not there, and that only their owner may read."""

import os
import stat
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marathond.domain.errors import MarathonError
from marathond.store.blobs import Blobs
from marathond.store.environments import Environment, Environments
from marathond.store.files import write_durably
from marathond.store.locks import DaemonLock


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=4096))
def test_a_blob_comes_back_under_its_hash(tmp_path: Path, content: bytes) -> None:
    """What was put is got, its file is compressed and named by the SHA-256 of the content."""
    blobs = Blobs(tmp_path / "blobs")
    name = blobs.put(content)
    assert blobs.put(content) == name
    assert blobs.exists(name)
    assert blobs.get(name) == content
    assert blobs.path(name) == tmp_path / "blobs" / name[:2] / name
    assert zlib.decompress(blobs.path(name).read_bytes()) == content


def test_a_damaged_blob_is_refused_and_healed_by_storing_it_again(tmp_path: Path) -> None:
    """Content is checked at every reading; putting the same content again replaces a damaged file."""
    blobs = Blobs(tmp_path)
    name = blobs.put(b"content")
    blobs.path(name).write_bytes(zlib.compress(b"other"))
    with pytest.raises(MarathonError, match="other content"):
        blobs.get(name)
    assert blobs.put(b"content") == name
    assert blobs.fault(name) is None
    for wrong in ("0" * 64, "../../etc/passwd", ""):
        assert not blobs.exists(wrong)
        with pytest.raises(MarathonError):
            blobs.get(wrong)
    assert not list(tmp_path.rglob(".tmp-*"))


def test_an_environment_is_its_owners_alone(tmp_path: Path) -> None:
    """The file is 0600 in a 0700 folder, holds any value that an environment can, and is gone when it is removed."""
    environments = Environments(tmp_path / "env")
    values = {"API_KEY": "s3cret-ü", "RAW": os.fsdecode(b"\xff\xfe")}
    environments.write("s1", Environment(values))
    assert stat.S_IMODE(environments.path("s1").stat().st_mode) == 0o600
    assert stat.S_IMODE(environments.path("s1").parent.stat().st_mode) == 0o700
    assert environments.read("s1") == values
    environments.write("s1", Environment({"API_KEY": "new"}, {"API_KEY": ["s3cret-ü"]}))
    assert environments.read("s1") == {"API_KEY": "new"}
    assert environments.read("s1").formerly == {"API_KEY": ("s3cret-ü",)}
    environments.remove("s1")
    environments.remove("s1")
    assert environments.read("s1") == {}
    assert list((tmp_path / "env").iterdir()) == []


def test_an_environment_shows_its_names_alone(tmp_path: Path) -> None:
    """No way of printing it, and no error about its file, shows a value."""
    values = Environment({"API_KEY": "s3cret", "PATH": "/bin"}, {"API_KEY": ["s3cret"]})
    assert f"{values} {values!r} {[values]}".count("API_KEY, PATH") == 3
    assert "s3cret" not in f"{values} {values!r} {[values]}"
    environments = Environments(tmp_path)
    whole = b'{"values": {"API_KEY": "s3cret"}, "formerly": {}}'
    listed = b'{"values": {"API_KEY": ["s3cret"]}, "formerly": {}}'
    for damaged in (whole[:-20], b'["s3cret"]', b'{"values": ["s3cret"], "formerly": {}}', listed, b"\xff s3cret", b""):
        environments.path("s1").write_bytes(damaged)
        with pytest.raises(MarathonError) as refusal:
            environments.read("s1")
        assert refusal.value.kind.slug == "environment_unreadable"
        assert "s3cret" not in str(refusal.value)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    """When the new content cannot take its place, the old one is untouched and nothing is left beside it."""
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write_durably(tmp_path / "folder", b"data")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_there_is_one_daemon_per_state_folder(tmp_path: Path) -> None:
    """The second one is told the first one's pid; the lock goes with its process, however that ends, and the file stays."""
    path = tmp_path / "state" / "marathond.lock"
    hold = (
        "import sys\nfrom pathlib import Path\nfrom marathond.store.locks import DaemonLock\n"
        "lock = DaemonLock.acquire(Path(sys.argv[1]))\nprint('held', flush=True)\nsys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(path)],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(MarathonError, match=f"pid {holder.pid}") as refusal:
            DaemonLock.acquire(path)
        assert (refusal.value.kind.slug, refusal.value.kind.exit) == ("daemon_running", 1)
    finally:
        holder.kill()
        holder.communicate()
    with DaemonLock.acquire(path) as lock:
        assert path.read_text() == f"{os.getpid()}\n"
        with pytest.raises(MarathonError, match=f"pid {os.getpid()}"):
            DaemonLock.acquire(path)
        lock.release()
        DaemonLock.acquire(path).release()
