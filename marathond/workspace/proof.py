"""Whether a checkpoint is still what was recorded: point 5 of the resume gate.

Nothing is believed that git says about its objects: their content is read raw, replace refs ignored, and hashed here.
"""

import hashlib
from collections.abc import Iterator
from typing import Final

import msgspec

from marathond.workspace.checkpoint import ListedBlob, parse_blob_list, path_text
from marathond.workspace.git import GitError
from marathond.workspace.objects import RawObject, new_object_hash, visit_objects
from marathond.workspace.repository import Repository

_TREE_MODE: Final = "40000"
_PROBLEMS_MAX: Final = 20


async def verify_checkpoint(
    repository: Repository, ref: str | None, commit: str, blobs: bytes | None = None
) -> list[str]:
    """What is wrong with the checkpoint `commit`; nothing when all is right.

    `ref` (None before the first checkpoint) must name exactly `commit`; the commit and all its trees, followed from the
    commit and not from any index, must hash to their ids; each file in the list `blobs` (see `blob_list`; its own
    digest is the ledger's to check) must be in those trees, hash to its id and have the listed SHA-256. Working files
    are not looked at. At most 20 problems are named. Four processes.
    """
    problems = []
    if ref is not None and (held := await repository.read_ref(ref)) != commit:
        problems.append(f"{ref} should name {commit} and " + (f"names {held}" if held else "does not exist"))
    try:
        check = _Check(repository.object_format, commit)
        listed = parse_blob_list(blobs) if blobs else []
        await visit_objects(repository.git, [commit, *await _tree_ids(repository, commit)], check.visit_spine)
        files = set(check.files())
        check.problems += [
            f"{b.path} is not in {commit} as listed" for b in listed if (b.path, b.mode, b.oid) not in files
        ]
        check.expect(listed)
        await visit_objects(repository.git, sorted(check.expected), check.visit_blob)
        problems += check.problems
    except GitError as error:
        problems.append(f"the objects of {commit} cannot be read: {error.stderr or error}")
    except msgspec.MsgspecError as error:
        problems.append(f"the list of files of {commit} cannot be read: {error}")
    return problems[:_PROBLEMS_MAX]


async def _tree_ids(repository: Repository, commit: str) -> list[str]:
    """Trees to read. Only a hint on what to fetch at once: what git leaves out is missed when the trees are followed."""
    root = await repository.tree_of(commit)
    listed = await repository.git.run("ls-tree", "-r", "-d", "-z", "--full-tree", commit)
    heads = (item.split(b"\t", 1)[0].decode("ascii").split(" ") for item in listed.items)
    return sorted({root, *(oid for _, kind, oid in heads if kind == "tree")})


class _Check:
    """Collects raw objects and what is wrong with them."""

    def __init__(self, object_format: str, commit: str) -> None:
        self.format = object_format
        self.commit = commit
        self.problems: list[str] = []
        self.trees: dict[str, bytes] = {}
        self.root: str | None = None
        self.expected: dict[str, ListedBlob] = {}

    def visit_spine(self, found: RawObject) -> None:
        """A commit or tree: kept when it hashes to its id."""
        content = b"".join(found.chunks)
        kind = "commit" if found.oid == self.commit else "tree"
        name = new_object_hash(self.format, kind, len(content))
        name.update(content)
        if found.kind != kind or name.hexdigest() != found.oid:
            self.problems.append(f"{kind} {found.oid} " + _missing_or(found, "does not hash to its id"))
        elif kind == "commit":
            self.root = content.split(b"\n", 1)[0].removeprefix(b"tree ").decode("ascii", "replace")
        else:
            self.trees[found.oid] = content

    def visit_blob(self, found: RawObject) -> None:
        """A listed file."""
        name, digest = new_object_hash(self.format, "blob", found.size), hashlib.sha256()
        for chunk in found.chunks:
            name.update(chunk)
            digest.update(chunk)
        listed = self.expected[found.oid]
        if found.kind != "blob" or name.hexdigest() != found.oid:
            self.problems.append(f"{listed.path}: blob {found.oid} " + _missing_or(found, "does not hash to its id"))
        elif digest.hexdigest() != listed.sha256:
            self.problems.append(f"{listed.path} has another SHA-256 than the one recorded")

    def expect(self, listed: list[ListedBlob]) -> None:
        """Sets what `visit_blob` compares with. One blob may be listed under several paths, but with one digest."""
        for row in listed:
            other = self.expected.setdefault(row.oid, row)
            if other.sha256 != row.sha256:
                self.problems.append(f"the list gives {row.oid} two digests")

    def files(self) -> Iterator[tuple[str, str, str]]:
        """`(path, mode, id)` of each file below the commit, through trees that hashed to their ids."""
        pending = [(b"", self.root)] if self.root else []
        while pending:
            prefix, oid = pending.pop()
            content = self.trees.get(oid or "")
            if content is None:
                self.problems.append(f"tree {oid} of {path_text(prefix) or 'the commit'} cannot be followed")
                continue
            for mode, name, inner in _entries(content, 64 if self.format == "sha256" else 40):
                if mode == _TREE_MODE:
                    pending.append((prefix + name + b"/", inner))
                else:
                    yield path_text(prefix + name), mode.rjust(6, "0"), inner


def _entries(content: bytes, hex_length: int) -> Iterator[tuple[str, bytes, str]]:
    """The entries of a raw tree: `mode SP name NUL id`, the id in binary."""
    position = 0
    while position < len(content):
        space = content.index(b" ", position)
        end = content.index(b"\0", space)
        stop = end + 1 + hex_length // 2
        yield content[position:space].decode("ascii"), content[space + 1 : end], content[end + 1 : stop].hex()
        position = stop


def _missing_or(found: RawObject, otherwise: str) -> str:
    return "is missing" if found.kind is None else otherwise
