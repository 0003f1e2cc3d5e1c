"""The soak (tests/soak/): a few trials of each fault of part A, and the frame that repeats them."""

import importlib
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from soak import frame, runs
from soak.children import Child, Overdue, until
from soak.frame import FAULTS, attempt, fault, main, must
from soak.page import FIGURES, page
from soak.runs import TRAININGS
from test_processes import assert_gone

from zoo.registry import load_all

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel for what only Linux has")

# The first of each by its case; the seed is fixed, the moments of the kills are not.
TRIALS = [
    *(("A1", case) for case in ("carried state", "many networks", "two networks", "sequences")),
    ("A2", "TMPDIR elsewhere"),
    *(("A3", case) for case in ("before step 11", "between best and last", "after a rename")),
    *(("A4", case) for case in ("SIGINT", "SIGTERM twice")),
    *(("A5", case) for case in ("in a download", "in validation")),
    *(("A6", case) for case in ("files limited in size", "a full file system")),
    *(("A7", case) for case in ("a file", "read-only", "no such device")),
    ("A9", ""),
]


@pytest.mark.parametrize(("id", "case"), TRIALS)
def test_a_fault_is_taken_as_it_must_be(id: str, case: str, put_in: Callable[[str, str], None]) -> None:
    put_in(id, case)


def test_every_network_is_trained_by_one_of_the_trainings() -> None:
    chosen = {text.removeprefix("model=") for overrides in TRAININGS.values() for text in overrides}
    assert load_all()["model"].keys() <= chosen


# --- the frame --------------------------------------------------------------------------------------------------------


def command(folder: Path, *arguments: str, faults: Callable[[], Any] = lambda: None) -> Child:
    """`python -m tests.soak` in a forked process, with those faults only."""

    def work() -> None:
        FAULTS.clear()
        frame.find_faults = lambda: FAULTS
        runs.warm_up = lambda scratch: None  # there is nothing to train
        faults()
        tempfile.tempdir = str(folder)
        sys.exit(main([*arguments]))

    return Child(work, folder, "soak")


def drawing() -> None:
    @fault("T1", "draws", cases=["even", "odd"])
    def draw(dice: Any, folder: Path, case: str) -> dict[str, int]:
        return {"drawn": dice.randrange(10**9)}

    @fault("T2", "fails in every other trial")
    def fail(dice: Any, folder: Path) -> None:
        must(int(folder.name.split("_")[1]) % 2 == 0, "it is odd")


def test_a_trial_is_repeated_alone_by_its_seed(tmp_path: Path) -> None:
    drawing()
    drawn = [attempt(FAULTS["T1"], 5, trial, tmp_path) for trial in range(4)]
    again = attempt(FAULTS.pop("T1"), 5, 2, tmp_path / "again")
    assert again.counts == drawn[2].counts and again.case == drawn[2].case == "even"
    assert len({outcome.counts["drawn"] for outcome in drawn}) == 4
    del FAULTS["T2"]

    replay = command(tmp_path, "--seed", "5", "--replay", "T1:2", faults=drawing)
    assert replay.wait(60) == 0, replay.errors
    assert replay.printed == f"T1         1 of 1   draws: {drawn[2].counts['drawn']} drawn\n"


def test_what_went_wrong_is_reported_with_what_repeats_it(tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    run = command(tmp_path, "--seed", "5", "--minutes", "0.01", "--only", "T2", "--json", str(file), faults=drawing)
    assert run.wait(60) == 1
    found = json.loads(file.read_text())
    figures = found["faults"]["T2"]
    assert found["seed"] == 5 and found["faults"].keys() == {"T2"}
    assert figures["trials"] >= 2 and figures["right"] == figures["trials"] - len(figures["wrong"])
    assert {failed["trial"] % 2 for failed in figures["wrong"]} == {1}
    assert f"{figures['right']} of {figures['trials']}   fails in every other trial\n" in run.printed
    assert "T2, trial 1: it is odd\n        python -m tests.soak --seed 5 --replay T2:1" in run.printed
    assert command(tmp_path, "--only", "T1", "--minutes", "0.001", faults=drawing).wait(60) == 0
    assert command(tmp_path, "--only", "T3", faults=drawing).wait(60) == 2


def hanging(limit: float = 0.3) -> None:
    @fault("T4", "hangs, and heeds no signal", limit=limit)
    def hang(dice: Any, folder: Path) -> None:
        def deaf() -> None:
            for signum in (signal.SIGTERM, signal.SIGINT):
                signal.signal(signum, signal.SIG_IGN)
            Path("pid").write_text(str(os.getpid()))
            time.sleep(1000)

        with Child(deaf, folder, "deaf") as child:
            child.wait(1000)


def leaving() -> None:
    @fault("T5", "leaves a process behind")
    def leave(dice: Any, folder: Path) -> None:
        def double() -> None:
            if os.fork() == 0:
                os.setsid()  # out of reach of what ends a session
                Path("pid").write_text(str(os.getpid()))
                time.sleep(1000)

        with Child(double, folder, "parent") as child:
            child.wait(10)


def pid_in(folder: Path) -> int:
    until((folder / "pid").exists, 20, "no process")
    until((folder / "pid").read_text, 20, "no number")
    return int((folder / "pid").read_text())


def test_what_hangs_is_ended_at_its_limit(tmp_path: Path) -> None:
    hanging()
    outcome = attempt(FAULTS.pop("T4"), 0, 0, tmp_path)
    assert outcome.wrong == "no end after 0.3 s"
    assert_gone([pid_in(tmp_path / "T4_0")], within=0)
    sleeper = Child(lambda: time.sleep(9), tmp_path, "sleeper")
    with pytest.raises(Overdue, match="sleeper ran on for 0.1 s"):
        sleeper.wait(0.1)
    assert sleeper.code == -signal.SIGKILL


def test_what_is_left_behind_is_found_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "GRACE", 0.2)
    leaving()
    assert attempt(FAULTS.pop("T5"), 0, 0, tmp_path).wrong == "1 processes were left behind"
    assert_gone([pid_in(tmp_path / "T5_0")], within=0)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_stopped_it_leaves_no_process(signum: int, code: int, tmp_path: Path) -> None:
    with command(tmp_path, "--only", "T4", "--json", "soak.json", faults=lambda: hanging(100)) as run:
        until(lambda: list(tmp_path.glob("soak_*/T4_0/pid")), 20, "no trial")
        pid = pid_in(next(tmp_path.glob("soak_*/T4_0")))
        run.send(signum)
        assert run.wait(10) == code
    assert_gone([pid])
    if signum == signal.SIGINT:
        assert "T4         0 of 0" in run.printed and (tmp_path / "soak.json").exists()


def test_a_trial_that_raises_or_dies_is_wrong(tmp_path: Path) -> None:
    for number, (how, words) in enumerate(
        ((lambda dice, folder: 1 / 0, "ZeroDivisionError: division by zero"),
         (lambda dice, folder: os._exit(3), "the trial ended by itself, with exit code 3: "))
    ):  # fmt: skip
        assert attempt(frame.Fault("T6", "raises", how), 0, number, tmp_path).wrong == words


def test_the_page_says_what_the_soak_has_found() -> None:
    """`python -m tests.soak.page > docs/reliability.md` writes it anew."""
    assert (ROOT / "docs" / "reliability.md").read_text() == page(json.loads(FIGURES.read_text()))


@pytest.mark.parametrize("part", frame.PARTS)
def test_each_part_measures_others_too(part: str) -> None:
    assert callable(importlib.import_module(f"soak.{part}_elsewhere").others)
