"""Entries are encoded by msgspec, contracts by rfc8785: both give RFC 8785's bytes, and what would not is refused."""

from pathlib import Path

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from marathond.domain import canonical, entries
from marathond.domain.entries import Draft
from marathond.domain.errors import MarathonError
from marathond.domain.limits import ENTRY_BYTES_MAX, INTEGER_MAX
from marathond.store.chain import GENESIS, seal, seal_all
from marathond.store.rows import EntryUnreadableError, LedgerRow, to_entry, to_row
from tests.support.ledgers import NOON, note

VECTORS = Path(__file__).parent / "data" / "jcs"

keys = st.text(st.characters(max_codepoint=127), max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-INTEGER_MAX, INTEGER_MAX)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=20)


@given(values)
def test_in_the_domain_of_entries_msgspec_gives_the_bytes_of_rfc8785(value: object) -> None:
    """ASCII keys, integers below 2^53, any text: both encoders agree byte for byte."""
    assert canonical.encode_entry(value) == rfc8785.dumps(value)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_sealed_record_is_its_own_canonical_form(text: str) -> None:
    """Decoding a record and encoding it by the other package gives the very bytes that were hashed."""
    _, entry = seal(GENESIS, note("s", text), NOON)
    assert rfc8785.dumps(msgspec.json.decode(entry.record)) == entry.record


@pytest.mark.parametrize("name", sorted(path.stem for path in (VECTORS / "input").glob("*.json")))
def test_the_published_vectors_pass(name: str) -> None:
    """The vectors of RFC 8785's authors come out as published, as text and as bytes."""
    value = msgspec.json.decode((VECTORS / "input" / f"{name}.json").read_bytes())
    encoded = canonical.encode_contract(value)
    assert encoded == (VECTORS / "output" / f"{name}.json").read_bytes().strip()
    assert encoded == bytes.fromhex((VECTORS / "outhex" / f"{name}.txt").read_text())


@pytest.mark.parametrize(
    ("draft", "reason"),
    [
        (note("s", "x" * ENTRY_BYTES_MAX), "bytes"),
        (note("s", "\ud800"), "surrogate"),
        (Draft("session:s", entries.TaskDone(task=1)), "read back"),  # type: ignore[arg-type]
        (Draft("session:s", entries.TaskDone(task=0.5)), "float"),  # type: ignore[arg-type]
        (Draft("session:s", entries.ContractAmended(k=2**53, hash="", prev="")), "2^53"),
        (Draft("session:s", entries.SessionReopened(tasks={"é": 1})), "ASCII"),  # type: ignore[arg-type]
        (Draft("system", entries.TaskDone(task="t")), "belong"),
        (Draft("elsewhere", entries.TaskDone(task="t")), "belong"),
        (Draft("session:", entries.TaskDone(task="t")), "belong"),
        (Draft("session:s", entries.DaemonStopped(reason="")), "belong"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_ledger_cannot_hold_is_refused(draft: Draft, reason: str) -> None:
    """Too large, a float, an integer of 2^53, a key that is not ASCII, a lone surrogate, a wrong type or stream: refused by name."""
    with pytest.raises(MarathonError, match=reason.replace("^", r"\^")) as refusal:
        seal(GENESIS, draft, NOON)
    assert refusal.value.kind.slug == "entry_refused"


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.text(st.characters(exclude_categories=["Cs"])))))
def test_an_entry_reads_back_as_it_was_sealed(notes: list[tuple[str, str]]) -> None:
    """A row decodes to the same entry that was folded when it was written."""
    _, sealed = seal_all(GENESIS, [note(session, text) for session, text in notes], NOON)
    assert [to_entry(to_row(entry)) for entry in sealed] == sealed


@given(st.binary())
def test_garbage_is_no_entry_and_says_which(record: bytes) -> None:
    """A record that is none raises one named error, whatever its bytes."""
    with pytest.raises(EntryUnreadableError, match="entry 7"):
        to_entry(LedgerRow(7, "session:s", "0" * 64, "0" * 64, "0" * 64, record))
