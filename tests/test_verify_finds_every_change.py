"""Verifying: every change of what is stored is found, the first bad entry is named first, and garbage never crashes it."""

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from marathond.domain import canonical
from marathond.domain.entries import Draft, SessionPruned
from marathond.domain.errors import MarathonError
from marathond.places import Places
from marathond.store import gaps
from marathond.store.artifacts import inspect_session
from marathond.store.blobs import Blobs
from marathond.store.database import connect_reader
from marathond.store.verify import verify
from tests.support.ledgers import change, fill, make_places, note, running_writer, tamper

SEED = 20261125


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Places:
    places = make_places(tmp_path_factory.mktemp("original"))
    anyio.run(fill, places)
    return places


@pytest.fixture
def fresh(original: Places, tmp_path: Path) -> Callable[[], Places]:
    """Makes copies of a sound state folder; no connection is open then."""

    def make() -> Places:
        shutil.rmtree(tmp_path / "state", ignore_errors=True)
        shutil.copytree(original.state, tmp_path / "state")
        return original._replace(state=tmp_path / "state")

    return make


def _columns(places: Places) -> list[tuple[int, str, str, str, str]]:
    with closing(connect_reader(places.ledger)) as connection:
        return connection.execute("SELECT seq, record, hash, link_prev, link FROM ledger ORDER BY seq").fetchall()


def test_an_untouched_ledger_is_intact(fresh: Callable[[], Places]) -> None:
    """All entries, sessions, contracts and blobs are looked at, and all are well, of everything and of one session."""
    report = verify(fresh())
    assert report == (True, 17, 3, 17, [])
    assert verify(fresh(), "s1") == (True, 5, 1, 17, [])
    with pytest.raises(MarathonError) as refusal:
        verify(fresh(), "nobody")
    assert refusal.value.kind.slug == "no_session"


def _changed(text: str, dice: random.Random) -> str:
    """The text with one character changed; a record stays JSON, since SQLite itself refuses other text there."""
    while True:
        place = dice.randrange(len(text))
        changed = text[:place] + ("0" if text[place] != "0" else "1") + text[place + 1 :]
        try:
            if text[0] != "{" or json.loads(changed):
                return changed
        except json.JSONDecodeError:
            continue


def test_each_changed_character_is_found_in_its_entry(fresh: Callable[[], Places]) -> None:
    """A character changed by plain SQL, in the record, hash or a link, sampled over all entries: named in that entry first."""
    places, dice = fresh(), random.Random(SEED)
    for seq, *texts in _columns(places):
        for column, text in zip(("record", "hash", "link_prev", "link"), texts, strict=True):
            changed = _changed(text, dice)
            try:
                tamper(places, f"UPDATE ledger SET {column} = ? WHERE seq = {seq}", values=(changed,))
            except sqlite3.IntegrityError:
                continue  # a key or a number that is taken
            problems = verify(places).problems
            assert problems, (seq, column, changed)
            assert problems[0].seq == seq, (column, changed, problems)
            tamper(places, f"UPDATE ledger SET {column} = ? WHERE seq = {seq}", values=(text,))
    assert verify(places).ok


def test_each_flipped_byte_of_the_file_is_found_or_harmless(fresh: Callable[[], Places]) -> None:
    """A byte flipped in the database file itself never crashes verify, and is found whenever a row reads differently for it."""
    dice, found = random.Random(SEED), 0
    places = fresh()
    sound, data = _columns(places), bytearray(places.ledger.read_bytes())
    for _ in range(150):
        flipped, place = bytearray(data), dice.randrange(len(data))
        flipped[place] ^= 1 << dice.randrange(8)
        places.ledger.write_bytes(flipped)
        try:
            changed = _columns(places) != sound
        except (sqlite3.Error, UnicodeDecodeError):
            changed = True
        try:
            problems = verify(places).problems
        except MarathonError as error:  # its application id was hit
            problems = [error]
        found += bool(problems)
        assert problems or not changed, f"byte {place}"
    assert found > 30


@pytest.mark.parametrize(
    ("harm", "what", "seq"),
    [
        ("DELETE FROM ledger WHERE seq = 17", "the ledger ends at 16", None),
        ("DELETE FROM ledger WHERE seq > 5", "the ledger ends at 5", None),
        ("DELETE FROM ledger WHERE seq = 6", "entries 6 to 6 are missing", 6),
        ("DELETE FROM ledger WHERE seq = 1", "entries 1 to 1 are missing", 1),
        ("DELETE FROM ledger WHERE stream = 'session:s1'", "entries 3 to 3 are missing", 3),
        ("DELETE FROM contracts WHERE session_id = 's2'", "revision 1 is missing", 4),
        ("DELETE FROM contracts WHERE revision = 2", "revision 2 is missing", 2),
        ("UPDATE contracts SET record = '{\"name\":\"e\"}' WHERE session_id = 's1'", "not the text that was frozen", 3),
        ("INSERT INTO contracts VALUES ('s9', 1, '{}', hex(zeroblob(32)))", "session s9, but no entry", None),
        ("INSERT INTO contracts VALUES ('s1', 2, '{}', hex(zeroblob(32)))", "in no entry", 3),
        ("UPDATE ledger SET record = json_set(record, '$.n', 9) WHERE seq = 7", "not the text that was hashed", 7),
    ],
)
def test_removals_and_replacements_are_found(
    fresh: Callable[[], Places], harm: str, what: str, seq: int | None
) -> None:
    """Truncation, removed entries and sessions, missing, changed and foreign contracts: found, and named."""
    places = fresh()
    tamper(places, harm)
    report = verify(places)
    assert not report.ok
    assert what in report.problems[0].what or seq is None
    assert any(what in problem.what and problem.seq == seq for problem in report.problems), report.problems


def test_a_contract_that_was_changed_together_with_its_hash_is_found(fresh: Callable[[], Places]) -> None:
    """The ledger names the frozen hash too, so a row that only agrees with itself is not enough."""
    places = fresh()
    tamper(
        places,
        "UPDATE contracts SET record = '{}', hash = ? WHERE session_id = 's1'",
        values=(canonical.contract_hash(b"{}"),),
    )
    assert "not the one that the ledger names" in verify(places).problems[0].what


def test_a_rewritten_history_is_found_by_the_head(fresh: Callable[[], Places], tmp_path: Path) -> None:
    """Another ledger with every hash right, put in place of ours, disagrees with the head outside."""
    places, other = fresh(), make_places(tmp_path / "other")
    anyio.run(fill, other, 3, 4)
    shutil.copy(other.ledger, places.ledger)
    assert "the head names" in verify(places).problems[0].what


def test_a_swapped_pair_is_found(fresh: Callable[[], Places]) -> None:
    """Two entries that trade places keep their hashes, and the links show it at the first of them."""
    places = fresh()
    rows = _columns(places)
    for seq, other in ((5, rows[5]), (6, rows[4])):
        tamper(
            places,
            f"UPDATE OR IGNORE ledger SET hash = ?, link = ?, link_prev = ? WHERE seq = {seq}",
            values=(other[2], other[4], other[3]),
        )
    assert verify(places).problems[0].seq == 5


@pytest.mark.parametrize(
    "garbage",
    [
        "x",
        "{}",
        "[]",
        "null",
        '{"v":1}',
        "1e999",
        '{"stream":[]}',
        '"\\ud800"',
        "[" * 900 + "]" * 900,
        '{"body":7,"kind":"session.created"}',
    ],
)
def test_garbage_in_a_record_is_a_problem_and_never_a_crash(fresh: Callable[[], Places], garbage: str) -> None:
    """Whatever text stands where a record was, with a hash that fits it or not: the entry is named."""
    for hash_ in ("0" * 64, canonical.entry_hash(garbage.encode()), "g" * 64):
        places = fresh()
        with closing(sqlite3.connect(places.ledger, isolation_level=None)) as connection:
            names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall()
            for (name,) in names:
                connection.execute(f"DROP TRIGGER {name}")
            # The same table without generated columns: any text fits in.
            connection.execute("CREATE TABLE plain AS SELECT * FROM ledger")
            connection.execute("DROP TABLE ledger")
            connection.execute("ALTER TABLE plain RENAME TO ledger")
            connection.execute("UPDATE ledger SET record = ?, hash = ? WHERE seq = 3", (garbage, hash_))
        assert verify(places).problems[0].seq == 3
        artifacts = inspect_session(places, "s1")
        assert artifacts.chain[0].seq == 3
        assert not artifacts.absent


@pytest.mark.parametrize("cut", [100, 4096, 9000])
def test_a_file_that_is_cut_off_is_a_problem(fresh: Callable[[], Places], cut: int) -> None:
    """A database file that lost its end, or all but its beginning, is reported as damaged."""
    places = fresh()
    with places.ledger.open("r+b") as file:
        file.truncate(cut)
    report = verify(places)
    assert not report.ok
    assert any("damaged" in problem.what for problem in report.problems)
    assert inspect_session(places, "s1").unreadable


def test_a_ledger_that_is_gone_is_a_problem(fresh: Callable[[], Places]) -> None:
    """Without the database the head still knows that there was one; without both there is nothing to miss."""
    places = fresh()
    places.ledger.unlink()
    assert "the ledger is missing" in verify(places).problems[0].what
    places.head.unlink()
    assert verify(places) == (True, 0, 0, 0, [])


@pytest.mark.parametrize("harm", ["missing", "damaged", "other"])
def test_a_blob_that_an_entry_names_must_be_there(fresh: Callable[[], Places], harm: str) -> None:
    """A blob that is gone, cut or holds something else is named by the first entry that needs it."""
    places = fresh()
    (path,) = (p for p in places.blobs.rglob("*") if p.name == Blobs(places.blobs).put(b"output 1" * 50))
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes(
            path.read_bytes()[:-5]
            if harm == "damaged"
            else Blobs(places.blobs).path(Blobs(places.blobs).put(b"x")).read_bytes()
        )
    (problem,) = verify(places).problems
    assert (problem.seq, problem.stream, problem.n) == (15, "session:s1", 5)


def test_a_prune_that_left_a_tombstone_is_no_problem(fresh: Callable[[], Places]) -> None:
    """Removed numbers that a `session.pruned` entry names are accounted for; one more that it does not name is not."""
    places = fresh()
    gone = [3, 6, 9, 12, 15]
    body = SessionPruned(session="s1", entries=5, seqs=[[seq, seq] for seq in gone], last_hash="")

    async def entomb() -> None:
        async with running_writer(places) as writer:
            await writer.submit(change(Draft("system", body)))

    anyio.run(entomb)
    tamper(
        places,
        "DELETE FROM ledger WHERE stream = 'session:s1'",
    )
    tamper(places, "DELETE FROM contracts WHERE session_id = 's1'")
    assert verify(places).ok
    tamper(places, "DELETE FROM ledger WHERE seq = 16")
    assert [problem.seq for problem in verify(places).problems if "prune" in problem.what] == [16]


def test_the_gate_tells_missing_from_changed(fresh: Callable[[], Places]) -> None:
    """A removed contract row is an absence, a changed one a change; other sessions are not concerned."""
    places = fresh()
    assert inspect_session(places, "s1") == ("s1", 5, [], [], [])
    tamper(
        places,
        "DELETE FROM contracts WHERE session_id = 's2'",
        "UPDATE contracts SET record = '{}' WHERE session_id = 's1'",
    )
    gone, changed, fine = (inspect_session(places, session) for session in ("s2", "s1", "s0"))
    assert (len(gone.absent), gone.contracts_changed) == (1, [])
    assert (changed.absent, len(changed.contracts_changed)) == ([], 1)
    assert (fine.absent, fine.chain, fine.contracts) == ([], [], [])
    assert inspect_session(places, "nobody").absent


@pytest.mark.parametrize("far", [False, True])
def test_a_gap_concerns_the_sessions_that_may_have_lost_their_end(
    fresh: Callable[[], Places], monkeypatch: pytest.MonkeyPatch, far: bool
) -> None:
    """A session whose last entry is before an unexplained gap, near or far, cannot be trusted to be whole; one that goes on after it can."""
    if far:
        monkeypatch.setattr(gaps, "_COUNTED_ONE_BY_ONE", 0)
    places = fresh()
    tamper(places, "DELETE FROM ledger WHERE stream = 'session:s1' AND n > 3")
    assert [problem.seq for problem in inspect_session(places, "s1").chain] == [12, 15]
    assert inspect_session(places, "s0").chain == []
    assert [problem.seq for problem in inspect_session(places, "s2").chain] == []


def test_verify_disturbs_no_writer_at_work(fresh: Callable[[], Places]) -> None:
    """While entries are appended every verification sees a whole ledger, and the writer never notices."""
    places = fresh()

    async def both() -> None:
        async with running_writer(places) as writer, anyio.create_task_group() as tasks:

            async def write() -> None:
                for _ in range(150):
                    await writer.submit(change(note("s1")))

            tasks.start_soon(write)
            for _ in range(10):
                assert (await anyio.to_thread.run_sync(verify, places)).ok

    anyio.run(both)
