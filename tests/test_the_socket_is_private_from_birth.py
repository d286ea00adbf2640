"""How the listening socket is made and taken away."""

import os
import socket
import stat
from pathlib import Path

import pytest

from marathond.domain.errors import MarathonError
from marathond.server.listener import open_listener


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A private folder."""
    made = tmp_path / "run"
    made.mkdir(mode=0o700)
    return made


def test_it_appears_private_and_goes_with_its_owner(tmp_path: Path) -> None:
    """Folder 0700 and socket 0600 whatever the umask, no temporary file left, umask as before, and removed at the end."""
    before = os.umask(0)
    try:
        listener = open_listener(tmp_path / "new" / "run" / "s")
        assert os.umask(0) == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new" / "run").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "new" / "run" / "s").stat().st_mode) == 0o600
    assert os.listdir(tmp_path / "new" / "run") == ["s"]
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "new" / "run" / "s"))
    listener.remove()
    listener.remove()
    assert os.listdir(tmp_path / "new" / "run") == []
    listener.sock.close()


def test_a_stale_socket_is_replaced_and_the_new_one_not_taken_along(folder: Path) -> None:
    """The next daemon's socket takes the place of a dead one's; whoever ends later leaves the newer socket alone."""
    first = open_listener(folder / "s")
    second = open_listener(folder / "s")
    first.remove()
    assert (folder / "s").is_socket()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(folder / "s"))
        second.sock.accept()[0].close()
    second.remove()
    assert not (folder / "s").exists()
    first.sock.close()
    second.sock.close()


@pytest.mark.parametrize("spoil", ["open", "link", "file"])
def test_a_folder_that_others_may_enter_is_refused(folder: Path, spoil: str) -> None:
    """A folder with a loose mode, a link in its place or a file is refused with 77 and left as it is."""
    path = folder / "s"
    if spoil == "open":
        folder.chmod(0o750)
    elif spoil == "link":
        path = folder.with_name("link") / "s"
        path.parent.symlink_to(folder)
    else:
        path = folder / "file" / "s"
        path.parent.write_text("x")
    with pytest.raises(MarathonError) as caught:
        open_listener(path)
    assert (caught.value.kind.slug, caught.value.kind.exit) == ("not_permitted", 77)
    assert not (folder / "s").exists()


def test_a_file_in_the_way_is_left_alone(folder: Path) -> None:
    """Something that is no socket is never replaced."""
    (folder / "s").write_text("mine")
    with pytest.raises(MarathonError) as caught:
        open_listener(folder / "s")
    assert caught.value.kind.slug == "usage"
    assert (folder / "s").read_text() == "mine"


def test_a_path_that_is_too_long_is_explained(folder: Path) -> None:
    """108 bytes are refused with the number and a way out; 107 are fine."""
    room = 107 - len(os.fsencode(folder)) - 1
    with pytest.raises(MarathonError) as caught:
        open_listener(folder / ("é" + "s" * (room - 1)))
    assert caught.value.kind.slug == "socket_path_too_long"
    assert "108 bytes" in caught.value.message
    assert "MARATHON_SOCKET" in caught.value.hint
    listener = open_listener(folder / ("s" * room))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(listener.path))
    listener.remove()
    listener.sock.close()


def test_the_longest_path_that_linux_allows_is_bound(folder: Path) -> None:
    """A path of 107 bytes works, also when most of it is the file's name."""
    path = folder / ("s" * (107 - len(str(folder)) - 1))
    listener = open_listener(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    listener.remove()
    listener.sock.close()


def test_nobody_is_told_to_close_a_shared_folder(folder: Path) -> None:
    """`chmod 700` is advice for a folder that is only too loose, never for one like /tmp."""
    hints = []
    for mode in (0o755, 0o1777):
        folder.chmod(mode)
        with pytest.raises(MarathonError) as caught:
            open_listener(folder / "s")
        hints.append("chmod" in caught.value.hint)
    assert hints == [True, False]
