"""Opening: a new ledger is made, our own is mended, anything else is refused and stays byte for byte as it was."""

import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from marathond.domain.errors import MarathonError
from marathond.places import Places
from marathond.store import database
from marathond.store.filesystem import NETWORK_TYPES, filesystem_type, refuse_network
from marathond.store.verify import verify
from tests.support.ledgers import fill, make_places, tamper


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _refusal(places: Places) -> str:
    before = _contents(places.state)
    with pytest.raises(MarathonError) as refusal:
        database.prepare(places)
    assert _contents(places.state) == before
    assert refusal.value.kind.exit == 65
    return refusal.value.kind.slug


@pytest.fixture
def empty(tmp_path: Path) -> Places:
    state = tmp_path / "state"
    state.mkdir()
    return Places(state, state, state / "sock")


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_another_programs_database_is_refused(empty: Places, journal: str) -> None:
    """A database with somebody else's tables is no ledger, in either journal mode, and no -wal or -shm appears beside it."""
    with closing(sqlite3.connect(empty.ledger, isolation_level=None)) as other:
        other.execute(f"PRAGMA journal_mode = {journal}")
        other.execute("CREATE TABLE bookmarks (url)")
    assert _refusal(empty) == "not_a_ledger"


def test_a_file_that_is_no_database_is_refused(empty: Places) -> None:
    """Text, or a ledger whose first page is overwritten, is no ledger."""
    empty.ledger.write_bytes(b"Dear diary,\n" * 1000)
    assert _refusal(empty) == "not_a_ledger"


@pytest.mark.parametrize(
    ("statement", "slug"),
    [
        ("PRAGMA user_version = 2", "schema_newer"),
        ("PRAGMA user_version = 0", "not_a_ledger"),
        ("PRAGMA application_id = 7", "not_a_ledger"),
        ("CREATE TABLE extra (a)", "not_a_ledger"),
        ("DROP INDEX ledger_by_key", "not_a_ledger"),
        ("DROP TABLE contracts", "not_a_ledger"),
        ("CREATE TRIGGER ledger_refuses_update BEFORE UPDATE ON ledger BEGIN SELECT 1; END", "not_a_ledger"),
    ],
)
def test_a_ledger_of_another_form_is_refused(tmp_path: Path, statement: str, slug: str) -> None:
    """A newer version, a foreign id, one table more or less, a trigger that says something else: refused, and left as it is."""
    places = make_places(tmp_path)
    tamper(places, statement)
    assert _refusal(places) == slug


def test_missing_triggers_are_mended_and_named(tmp_path: Path) -> None:
    """A ledger that only lacks triggers gets them back, is told so, and is as strict as before."""
    places = make_places(tmp_path)
    anyio.run(fill, places)
    tamper(places)
    mended = database.prepare(places).mended
    assert "ledger_refuses_update" in mended
    assert len(mended) == 8
    assert database.prepare(places).mended == ()
    with closing(sqlite3.connect(places.ledger)) as other, pytest.raises(sqlite3.IntegrityError, match="never changed"):
        other.execute("UPDATE ledger SET hash = hash")
    assert verify(places).ok


def test_a_new_ledger_is_its_owners_alone(tmp_path: Path) -> None:
    """The folder is 0700, the database and the head are 0600, and preparing twice changes nothing."""
    places = make_places(tmp_path)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (places.state, places.ledger, places.head)}
    assert modes == {"state": 0o700, "ledger.db": 0o600, "head": 0o600}
    before = _contents(places.state)
    assert database.prepare(places) == (False, ())
    assert _contents(places.state) == before


def test_a_ledger_that_lives_in_its_wal_alone_is_ours(empty: Places) -> None:
    """A machine that went down before the first checkpoint leaves everything in the -wal; the next start finds it."""
    crash = (
        "import os, sqlite3, sys\nfrom marathond.store.schema import schema_text\n"
        "made = sqlite3.connect(sys.argv[1], isolation_level=None)\nmade.execute('PRAGMA journal_mode = WAL')\n"
        "made.executescript(schema_text())\nos._exit(0)"
    )
    subprocess.run([sys.executable, "-c", crash, str(empty.ledger)], check=True, cwd=Path(__file__).parents[1])
    assert (empty.state / "ledger.db-wal").stat().st_size > 0
    assert database.prepare(empty) == (False, ())
    anyio.run(fill, empty)
    assert verify(empty).ok


def test_what_a_crash_left_half_written_is_swept(tmp_path: Path) -> None:
    """Temporary files of interrupted writes are gone after the next start: one could hold a session's secrets."""
    places = make_places(tmp_path)
    places.environments.mkdir()
    (places.environments / ".tmp-abc").write_text("KEY=secret")
    (places.environments / "s.json").write_text("{}")
    database.prepare(places)
    assert os.listdir(places.environments) == ["s.json"]


@pytest.mark.parametrize("f_type", NETWORK_TYPES)
def test_network_file_systems_are_refused(tmp_path: Path, f_type: int) -> None:
    """Their locks cannot be trusted: refused by name, with what to do."""
    with pytest.raises(MarathonError, match=NETWORK_TYPES[f_type]):
        refuse_network(tmp_path, f_type)


def test_the_file_system_is_asked_for_its_type(tmp_path: Path) -> None:
    """statfs(2) tells /proc from a disk, and a path that is not there is an error."""
    assert filesystem_type(Path("/proc")) == 0x9FA0
    refuse_network(tmp_path, filesystem_type(tmp_path))
    with pytest.raises(FileNotFoundError):
        filesystem_type(tmp_path / "nowhere")
