"""The listening socket: made with care, or taken over from systemd.

The caller holds the daemon's lock, so whatever socket file is found is stale. The file appears by a rename, owned and 0600 from its
first moment, in a folder that nobody else can enter; it goes when the daemon does, if it is still this daemon's.
"""

import os
import socket
import stat
from collections.abc import MutableMapping
from errno import EEXIST, ELOOP, ENOTDIR
from pathlib import Path
from typing import Final, NamedTuple

from marathond.domain.errors import NOT_PERMITTED, SOCKET_PATH_TOO_LONG, USAGE, MarathonError
from marathond.domain.limits import SOCKET_PATH_BYTES_MAX

_SYSTEMD_FIRST_FD: Final = 3
_BACKLOG: Final = 4096


class Listener(NamedTuple):
    """A listening Unix socket; `inode` is set when the file at `path` is ours to remove."""

    sock: socket.socket
    path: Path
    inode: tuple[int, int] | None

    def remove(self) -> None:
        """Removes the socket file unless somebody has replaced it since."""
        if self.inode is None:
            return
        try:
            found = self.path.lstat()
            if (found.st_dev, found.st_ino) == self.inode:
                self.path.unlink()
        except FileNotFoundError:
            pass  # somebody was faster, and it is gone as it should be


def open_listener(path: Path) -> Listener:
    """Binds `path`. Raises SOCKET_PATH_TOO_LONG, NOT_PERMITTED when its folder is not private, USAGE when a file is in the way."""
    length = len(os.fsencode(path))
    if length > SOCKET_PATH_BYTES_MAX:
        raise MarathonError(SOCKET_PATH_TOO_LONG, path=str(path), length=length, limit=SOCKET_PATH_BYTES_MAX)
    folder = _open_private_folder(path.parent)
    try:
        return _bind(path, folder)
    finally:
        os.close(folder)


def _open_private_folder(folder: Path) -> int:
    """A descriptor of the folder, which is made if need be and is a real folder of ours that nobody else may enter."""
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as exc:
        fact = (
            "is a link or no folder" if exc.errno in {ENOTDIR, ELOOP, EEXIST} else f"cannot be opened ({exc.strerror})"
        )
        raise _not_private(folder, fact) from None
    found = os.fstat(descriptor)
    if found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077:
        return descriptor
    os.close(descriptor)
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.geteuid():
        raise _not_private(folder, f"belongs to uid {found.st_uid}")
    raise _not_private(folder, f"has mode {mode:04o}", shared=bool(mode & 0o022))


def _not_private(folder: Path, fact: str, *, shared: bool = True) -> MarathonError:
    """`shared`: others write there or it is no folder of ours, so that to close it would be wrong advice."""
    return MarathonError(
        NOT_PERMITTED,
        reason=f"The socket's folder {folder} {fact}; it must be a folder of yours with mode 0700",
        hint="Set MARATHON_SOCKET to a path in a folder of its own."
        if shared
        else f"Run `chmod 700 {folder}`, or set MARATHON_SOCKET to a path in another folder.",
    )


def _bind(path: Path, folder: int) -> Listener:
    name, temporary = path.name, f".new.{os.getpid()}"  # short, whatever the name: the address has 107 bytes
    if _exists(name, folder) and not stat.S_ISSOCK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        raise MarathonError(
            USAGE, reason=f"{path} exists and is no socket", hint="Move it away, or set MARATHON_SOCKET."
        )
    if _exists(temporary, folder):
        os.unlink(temporary, dir_fd=folder)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    before = os.umask(0o177)
    try:
        # By way of the descriptor the address is short however long the folder's path is, and names the folder that was checked.
        sock.bind(f"/proc/self/fd/{folder}/{temporary}")
        sock.listen(_BACKLOG)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        sock.close()
        raise
    finally:
        os.umask(before)
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    return Listener(sock, path, (found.st_dev, found.st_ino))


def _exists(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def adopt_listeners(environ: MutableMapping[str, str], pid: int) -> list[Listener]:
    """The sockets that systemd passed to process `pid` (sd_listen_fds(3)); the variables go, so that no child mistakes them for its own.

    Raises USAGE for a descriptor that is no listening Unix stream socket.
    """
    meant_for, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if meant_for != str(pid) or not count.isdecimal():
        return []
    return [_adopt(fd) for fd in range(_SYSTEMD_FIRST_FD, _SYSTEMD_FIRST_FD + int(count))]


def _adopt(fd: int) -> Listener:
    os.set_inheritable(fd, False)
    try:
        sock = socket.socket(fileno=fd)
        good = sock.family == socket.AF_UNIX and sock.type == socket.SOCK_STREAM
        listening = good and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    except OSError:
        listening = False
    if not listening:
        raise MarathonError(
            USAGE,
            reason=f"Descriptor {fd}, passed by the service manager, is no listening Unix stream socket",
            hint="See systemd/marathond.socket.",
        )
    return Listener(sock, Path(sock.getsockname()), None)
