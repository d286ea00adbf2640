"""`start --key`: the same key is the same session, however often, at once, and across crashes."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from marathonctl.client import Client
from marathond.domain.errors import DAEMON_SILENT, MarathonError
from tests.support.box import Box, script

CLIENTS = 20
PLAN = f'[[task]]\nid = "a"\nagent = "scripted"\nprompt = {script("hang = true")}\n'
OTHER = PLAN.replace('id = "a"', 'id = "b"')


def test_a_key_gives_the_same_session_to_all_who_use_it(box: Box) -> None:
    """Twenty clients at once get one session, of which one made it; another contract under the key is refused with 64."""
    box.daemon_up()
    path = str(box.write_plan(PLAN))
    together = Barrier(CLIENTS)

    def start(_number: int) -> dict[str, object]:
        with Client(box.places.socket) as client:
            together.wait()
            return client.call("session/start", path=path, key="nightly", env={"PATH": box.env["PATH"]})

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(start, range(CLIENTS)))
    assert len({a["session_id"] for a in answers}) == 1
    assert len({a["run_id"] for a in answers}) == 1
    assert [a["created"] for a in answers].count(True) == 1
    assert len(list((box.state / "env").glob("*.json"))) == 1, "no stored environment is left of those who came second"
    session = str(answers[0]["session_id"])
    again = box.ctl("start", path, "--key", "nightly", "--json")
    assert (again.code, again.json["session_id"], again.json["created"]) == (0, session, False)
    refused = box.ctl("start", str(box.write_plan(OTHER)), "--key", "nightly", "--json")
    assert refused.code == 64, refused
    assert refused.json["error"]["slug"] == "key_mismatch"
    assert session in refused.json["error"]["message"]
    box.kill_daemon()
    box.daemon_up()
    after = box.ctl("start", str(box.write_plan(PLAN)), "--key", "nightly", "--json")
    assert after.json["session_id"] == session, "also when another daemon answers"
    assert box.ctl("abort", session).code == 0
    ended = box.ctl("start", path, "--key", "nightly", "--json")
    assert (ended.code, ended.json["session_id"]) == (0, session), "also when the session has ended"
    assert len(box.ctl("list", "--all", "--json").json["sessions"]) == 1


def _start_and_kill(box: Box, path: str, key: str, *, midway: bool) -> str | None:
    """Asks for a session and kills the daemon at once, or when it has begun; the id, if an answer came through."""
    box.daemon_up()
    with Client(box.places.socket) as client, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.call, "session/start", path=path, key=key, env={"PATH": box.env["PATH"]})
        if midway:
            box.until(lambda: any((box.state / "env").glob("*.json")) or asked.done(), "it is being started")
        box.kill_daemon()
        error = asked.exception()
    assert error is None or (isinstance(error, MarathonError) and error.kind is DAEMON_SILENT)
    return None if error else str(asked.result()["session_id"])


def test_an_answer_that_was_lost_can_be_asked_for_again(box: Box) -> None:
    """`kill -9` right behind the request: asking again with the key gives one session, whether or not it was recorded."""
    path = str(box.write_plan(PLAN))
    for key, midway in (("at-once", False), ("midway", True)):
        first = _start_and_kill(box, path, key, midway=midway)
        box.daemon_up()
        results = [box.ctl("start", path, "--key", key, "--json").json["session_id"] for _ in range(2)]
        assert first in (None, results[0])
        assert results[0] == results[1]
        assert box.ctl("abort", results[0]).code == 0
        created = [e for e in box.entries() if e["kind"] == "session.created" and e["body"]["key"] == key]
        assert len(created) == 1
