-- Marathon's database, as a document.
--
-- One file, `ledger.db`, in SQLite's WAL mode. One connection in one process writes it (the daemon's writer); everybody
-- else reads with `mode=ro`. Rows are added and never changed: what a row says was said, and every state that Marathon
-- shows is computed from these rows. The triggers below hold for every program that opens the file with
-- `recursive_triggers = ON` and does not drop them; against programs that do, there are the hashes.
--
-- Hashes are checked in code, never in SQL: SQLite has no SHA-256, and a function of ours inside a trigger would make
-- the file unwritable for everybody else. The triggers therefore compare neighbours only.

BEGIN IMMEDIATE;

PRAGMA application_id = 0x4d52544e;   -- "MRTN": a file with another number is not ours and is left alone
PRAGMA user_version = 1;              -- the version of this document; a newer one than we know is refused

-- ledger -----------------------------------------------------------------------------------------------------------
-- The history: one row per entry, written by the writer only, read by everyone. A row is born in a group commit,
-- after which it lives unchanged for ever; only pruning, on a maintenance connection with the daemon at rest, removes
-- whole exported sessions, and leaves a `session.pruned` entry that names the removed numbers.
--
-- `record` is the entry: canonical JSON (RFC 8785) of {v, stream, n, at, wall, kind, body, prev}, the exact bytes that
-- are hashed. The columns from `v` to `key` are computed from it by SQLite when the row is written, so they cannot
-- contradict it; they exist to be searched.
--
--   seq        place in the whole ledger, from 1 without gap
--   record     see above
--   hash       SHA-256("marathon.entry.v1\0" ‖ record), hex
--   link_prev  `link` of the row before; 64 zeros in the first row. Kept so that a link can be checked where a pruned
--              session left a gap
--   link       SHA-256("marathon.link.v1\0" ‖ link_prev ‖ hash), over the 32 raw bytes of each, hex: runs through all
--              streams, so that the removal of a whole session shows
--   stream     `session:<id>` or `system`
--   n          place in the stream, from 1 without gap
--   at         logical time, UTC with microseconds, strictly rising through the whole ledger: order, nothing else
--   wall       the clock as it was read; it may step
--   kind       what the entry says, for example `checkpoint.committed`
--   prev       `hash` of the entry before in the stream; 64 zeros in its first
--   key        of `session.created`: the user's idempotency key; NULL otherwise
CREATE TABLE ledger (
    seq       INTEGER PRIMARY KEY CHECK (seq > 0),
    record    TEXT    NOT NULL,
    hash      TEXT    NOT NULL CHECK (length(hash) = 64),
    link_prev TEXT    NOT NULL CHECK (length(link_prev) = 64),
    link      TEXT    NOT NULL CHECK (length(link) = 64),
    v         INTEGER NOT NULL GENERATED ALWAYS AS (json_extract(record, '$.v')) STORED,
    stream    TEXT    NOT NULL GENERATED ALWAYS AS (json_extract(record, '$.stream')) STORED,
    n         INTEGER NOT NULL GENERATED ALWAYS AS (json_extract(record, '$.n')) STORED,
    at        TEXT    NOT NULL GENERATED ALWAYS AS (json_extract(record, '$.at')) STORED,
    wall      TEXT    NOT NULL GENERATED ALWAYS AS (json_extract(record, '$.wall')) STORED,
    kind      TEXT    NOT NULL GENERATED ALWAYS AS (json_extract(record, '$.kind')) STORED,
    prev      TEXT    NOT NULL GENERATED ALWAYS AS (json_extract(record, '$.prev')) STORED,
    key       TEXT GENERATED ALWAYS AS (
        CASE json_extract(record, '$.kind') WHEN 'session.created' THEN json_extract(record, '$.body.key') END
    ) STORED,
    UNIQUE (stream, n)
) STRICT;

-- Reading one stream after a cursor: the index ends in `seq`, which every SQLite index carries.
CREATE INDEX ledger_by_stream ON ledger (stream);

-- Starting twice under one key gives one session, also when two clients race or the daemon dies in between.
CREATE UNIQUE INDEX ledger_by_key ON ledger (key) WHERE key IS NOT NULL;

CREATE TRIGGER ledger_refuses_update BEFORE UPDATE ON ledger
BEGIN
    SELECT RAISE(ABORT, 'ledger: an entry is never changed');
END;

CREATE TRIGGER ledger_refuses_delete BEFORE DELETE ON ledger
BEGIN
    SELECT RAISE(ABORT, 'ledger: an entry is never removed');
END;

CREATE TRIGGER ledger_refuses_gap BEFORE INSERT ON ledger
BEGIN
    SELECT RAISE(ABORT, 'ledger: seq does not follow')
    WHERE NEW.seq IS NOT coalesce((SELECT max(seq) FROM ledger), 0) + 1;
    SELECT RAISE(ABORT, 'ledger: n does not follow in its stream')
    WHERE NEW.n IS NOT coalesce((SELECT max(n) FROM ledger WHERE stream = NEW.stream), 0) + 1;
END;

CREATE TRIGGER ledger_refuses_wrong_prev BEFORE INSERT ON ledger
BEGIN
    SELECT RAISE(ABORT, 'ledger: prev is not the hash before in the stream')
    WHERE NEW.prev IS NOT coalesce(
        (SELECT hash FROM ledger WHERE stream = NEW.stream ORDER BY n DESC LIMIT 1),
        '0000000000000000000000000000000000000000000000000000000000000000'
    );
    SELECT RAISE(ABORT, 'ledger: link_prev is not the link before')
    WHERE NEW.link_prev IS NOT coalesce(
        (SELECT link FROM ledger ORDER BY seq DESC LIMIT 1),
        '0000000000000000000000000000000000000000000000000000000000000000'
    );
END;

CREATE TRIGGER ledger_refuses_time_that_does_not_rise BEFORE INSERT ON ledger
BEGIN
    SELECT RAISE(ABORT, 'ledger: at does not rise')
    WHERE NEW.at <= (SELECT at FROM ledger ORDER BY seq DESC LIMIT 1);
END;

-- contracts --------------------------------------------------------------------------------------------------------
-- The frozen contracts: one row per session and revision, written in the same commit as the entry that names its hash
-- (`session.created` for revision 1, `contract.amended` for the later ones), read by the daemon at every resume.
--
--   record     the contract as RFC 8785 canonical JSON: exactly the text that was hashed and is never written anew
--   hash       SHA-256(record), hex; the ledger says the same
CREATE TABLE contracts (
    session_id TEXT    NOT NULL,
    revision   INTEGER NOT NULL CHECK (revision > 0),
    record     TEXT    NOT NULL,
    hash       TEXT    NOT NULL CHECK (length(hash) = 64),
    PRIMARY KEY (session_id, revision)
) STRICT;

CREATE TRIGGER contracts_refuses_update BEFORE UPDATE ON contracts
BEGIN
    SELECT RAISE(ABORT, 'contracts: a frozen contract is never changed');
END;

CREATE TRIGGER contracts_refuses_delete BEFORE DELETE ON contracts
BEGIN
    SELECT RAISE(ABORT, 'contracts: a frozen contract is never removed');
END;

CREATE TRIGGER contracts_refuses_gap BEFORE INSERT ON contracts
BEGIN
    SELECT RAISE(ABORT, 'contracts: the revision does not follow')
    WHERE NEW.revision IS NOT coalesce(
        (SELECT max(revision) FROM contracts WHERE session_id = NEW.session_id), 0
    ) + 1;
END;

COMMIT;
