"""Tasks that end in the same moment race for the session's tip; who loses is integrated anew, and nothing of the race remains."""

from pathlib import Path

from tests.support.box import Box, append, script

WIDTH = 6
HEAD = f'name = "race"\ngoal = "all at once"\n[limits]\nparallel = {WIDTH}\n[defaults]\nagent = "scripted"\n'


def plan() -> str:
    """Independent tasks without checks: each is ready for the tip as soon as its candidate is made."""
    tasks = [f'[[task]]\nid = "t{i}"\nprompt = {script(append(f"f{i}.txt", "x"))}\n' for i in range(WIDTH)]
    return HEAD + "".join(tasks)


def test_each_checkpoint_holds_its_tasks_work_and_the_race_ends_with_the_session(tmp_path: Path) -> None:
    """Each commit of the branch adds one task's file and touches no other; the environment's values go, and nothing is tried again."""
    with Box(tmp_path) as box:
        (box.config / "config.toml").write_text(f"slots = {WIDTH}\n")
        for _ in range(2):
            session = box.start(plan())
            branch = box.wait(session, "done")["branch"]
            changes = box.git("log", "--format=", "--name-status", f"main..{branch}").splitlines()
            assert sorted(changes) == [f"A\tf{i}.txt" for i in range(WIDTH)]
            kinds = box.kinds(session)
            assert kinds.count("attempt.intended") == kinds.count("checkpoint.committed") == WIDTH
            values = box.places.environments / f"{session}.json"
            box.until(lambda path=values: not path.exists(), "the environment's values are gone", 10)
        assert " failed (" not in box.log, box.log[-2000:]
