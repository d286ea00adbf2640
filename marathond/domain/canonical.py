"""Canonical bytes and the hashes over them.

Two encoders, one form (RFC 8785, JSON Canonicalization Scheme):

- contracts hold arbitrary user text and go through the `rfc8785` package;
- ledger entries have ASCII keys, integers below 2^53 and no floats, where msgspec's deterministic encoding is
  byte-equal to RFC 8785 and some fifty times faster (a property test proves the equality).
"""

import hashlib
from typing import Any, Final

import msgspec
import rfc8785

ZERO_HASH: Final = "0" * 64
ENTRY_TAG: Final = b"marathon.entry.v1\0"
LINK_TAG: Final = b"marathon.link.v1\0"

_encoder = msgspec.json.Encoder(order="deterministic")


def encode_entry(value: object) -> bytes:
    """Canonical JSON of an entry's record. The caller keeps to the entry domain (see the module)."""
    return _encoder.encode(value)


def encode_contract(value: Any) -> bytes:
    """RFC 8785 canonical JSON of a contract. Raises `rfc8785.CanonicalizationError` for what JSON cannot hold."""
    return rfc8785.dumps(value)


def contract_hash(text: bytes) -> str:
    """SHA-256 of a contract's canonical JSON, as lower-case hex."""
    return hashlib.sha256(text).hexdigest()


def entry_hash(record: bytes) -> str:
    """SHA-256 of the tagged record bytes, as lower-case hex. Hash what is stored; never re-serialise to verify."""
    return hashlib.sha256(ENTRY_TAG + record).hexdigest()


def link_hash(link_before: str, hash_: str) -> str:
    """The next link of the global chain that runs through all streams in order of `seq`."""
    return hashlib.sha256(LINK_TAG + bytes.fromhex(link_before) + bytes.fromhex(hash_)).hexdigest()
