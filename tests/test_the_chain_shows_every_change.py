"""The chain: each stream counts without gap, each entry names the one before, one link runs through all."""

import hashlib
import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from marathond.store.chain import GENESIS, seal_all
from tests.support.ledgers import NOON, note

steps = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(-5_000_000, 5_000_000)), max_size=30)


@given(steps)
def test_hashes_and_links_follow_for_anyone_who_recomputes_them(moves: list[tuple[str, int]]) -> None:
    """Ten lines of plain Python that know only the documented form agree with every hash, link, n and prev."""
    chain, sealed, wall = GENESIS, [], NOON
    for session, step in moves:
        wall += step
        chain, made = seal_all(chain, [note(session)], wall)
        sealed += made
    link, tips = "0" * 64, {}
    for seq, entry in enumerate(sealed, 1):
        record = json.loads(entry.record)
        before, n = tips.get(record["stream"], ("0" * 64, 0))
        hash_ = hashlib.sha256(b"marathon.entry.v1\0" + entry.record).hexdigest()
        link = hashlib.sha256(b"marathon.link.v1\0" + bytes.fromhex(link) + bytes.fromhex(hash_)).hexdigest()
        assert (record["prev"], record["n"]) == (before, n + 1)
        assert (entry.seq, entry.hash, entry.link) == (seq, hash_, link)
        tips[record["stream"]] = (hash_, n + 1)


@given(steps)
def test_time_rises_though_the_clock_steps_back(moves: list[tuple[str, int]]) -> None:
    """`at` rises strictly over the whole ledger, `wall` is what the clock said."""
    chain, sealed, wall = GENESIS, [], NOON
    for session, step in moves:
        wall += step
        chain, made = seal_all(chain, [note(session)], wall)
        assert made[0].wall == wall
        sealed += made
    assert all(
        a.at < b.at and json.loads(a.record)["at"] < json.loads(b.record)["at"] for a, b in itertools.pairwise(sealed)
    )


def test_sealing_leaves_the_chain_before_as_it_was() -> None:
    """A batch that fails is forgotten by not keeping its chain."""
    chain, _ = seal_all(GENESIS, [note("a"), note("b")], NOON)
    tip = chain.tip("session:a")
    seal_all(chain, [note("a"), note("c")], NOON)
    assert chain.tip("session:a") == tip
    assert chain.tip("session:c").n == 0
