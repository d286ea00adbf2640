"""The truth on disk: the ledger's database, its outside head, contracts, blobs and the proofs over them.

- `schema`, `database`: the file `ledger.db`: what it must look like, and how connections to it are opened.
- `chain`, `rows`: an entry's place and hashes; a stored row and the entry it holds.
- `writer`, `transaction`: the one task and the one connection that append.
- `readers`: reading while the writer writes.
- `head`, `accept`: the head that is kept outside the database, and accepting that entries are lost.
- `blobs`, `environments`, `files`: files beside the database.
- `verify`, `proofs`, `artifacts`: is what is stored what was written?
- `locks`: one daemon per state folder.
"""
