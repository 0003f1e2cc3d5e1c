"""The frame of a soak: every fault in turn, until the minutes are used.

    python -m tests.soak --minutes 30 --seed 1 --json soak.json
    python -m tests.soak --minutes 2 --seed 1 --only A1,A2
    python -m tests.soak --seed 1 --replay A1:17

A fault is a function under `@fault`, in the module of its part. A trial of it has a process and a folder of its own,
a time limit, and random numbers that follow from (seed, fault, trial), so that it can be repeated alone. Exit code 1:
a fault was not taken as it must be.
"""

import argparse
import importlib
import importlib.util
import itertools
import json
import os
import platform
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from soak.children import Child, Overdue, end_all, take_orphans

PARTS = ("interruption", "files", "data", "configuration", "numbers")  # A to E; those that exist are imported
GRACE = 6.0  # seconds in which what a trial has started may end by itself; torch's workers look every five

Counts = dict[str, int]


class Wrong(Exception):
    """A fault was not taken as it must be; the text is one line and says how."""


def must(holds: object, otherwise: str) -> None:
    """Raise Wrong where it does not hold."""
    if not holds:
        raise Wrong(otherwise)


@dataclass(frozen=True)
class Fault:
    """`run(dice, folder)`, with a case as third argument where there are cases, gives counts or raises Wrong.

    limit: seconds that a trial may take. cases: trial n has case n, in turn. times: trials in each round.
    `folder.parent` is the same for all trials of a soak: what several of them compare with may lie there.
    """

    id: str
    what: str
    run: Callable[..., Counts | None]
    limit: float = 60.0
    cases: Sequence[str] = ()
    times: int = 1

    def case(self, trial: int) -> str:
        """The case of a trial, or nothing."""
        return self.cases[trial % len(self.cases)] if self.cases else ""


FAULTS: dict[str, Fault] = {}


def fault(id: str, what: str, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Put a function among the faults; options: limit, cases, times of `Fault`."""

    def decorate(run: Callable[..., Any]) -> Callable[..., Any]:
        if id in FAULTS:
            raise ValueError(f"fault {id} is there twice")
        FAULTS[id] = Fault(id, what, run, **options)
        return run

    return decorate


@dataclass
class Outcome:
    """What came of a trial; wrong: in one line, or nothing where the fault was taken as it must be."""

    fault: str
    trial: int
    case: str
    wrong: str = ""
    counts: Counts = field(default_factory=dict)
    seconds: float = 0.0


def attempt(fault: Fault, seed: int, trial: int, scratch: Path) -> Outcome:
    """One trial, in a process and in a folder of its own."""
    folder = scratch / f"{fault.id}_{trial}"
    folder.mkdir(parents=True)
    outcome = Outcome(fault.id, trial, fault.case(trial))
    started = time.monotonic()
    with Child(lambda: perform(fault, seed, trial, folder), folder, "trial") as child:
        try:
            child.wait(fault.limit + GRACE + 5)
            outcome = Outcome(**json.loads((folder / "outcome.json").read_text()))
        except Overdue:
            outcome.wrong = f"no end after {fault.limit:g} s, nor any answer"
        except OSError:
            lines = child.errors.splitlines()
            outcome.wrong = f"the trial ended by itself, with exit code {child.code}: {lines[-1] if lines else ''}"
    outcome.seconds = round(time.monotonic() - started, 2)
    return outcome


def perform(fault: Fault, seed: int, trial: int, folder: Path) -> None:
    """What the process of a trial does; outcome.json says what came of it."""
    outcome = Outcome(fault.id, trial, fault.case(trial))

    def overdue(signum: int, frame: Any) -> None:
        raise Overdue(f"no end after {fault.limit:g} s")

    take_orphans()
    signal.signal(signal.SIGALRM, overdue)
    signal.setitimer(signal.ITIMER_REAL, fault.limit)
    try:
        dice = random.Random(f"{seed} {fault.id} {trial}")
        outcome.counts = fault.run(dice, folder, *([outcome.case] if fault.cases else [])) or {}
    except (Wrong, Overdue) as error:
        outcome.wrong = str(error)
        traceback.print_exc()
    except Exception as error:
        outcome.wrong = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        traceback.print_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        left = end_all(GRACE)
    if left and not outcome.wrong:
        outcome.wrong = f"{left} processes were left behind"
    (folder / "outcome.json").write_text(json.dumps(asdict(outcome)))


def soak(faults: Sequence[Fault], seed: int, seconds: float, scratch: Path, outcomes: list[Outcome]) -> None:
    """Trials of all faults in turn, added to `outcomes`, until the time is used."""
    started = time.monotonic()
    for number in itertools.count():
        for fault in faults:
            for trial in range(number * fault.times, (number + 1) * fault.times):
                if time.monotonic() - started > seconds:
                    return
                outcomes.append(attempt(fault, seed, trial, scratch))
                if outcomes[-1].wrong:
                    print(failure(outcomes[-1], seed), file=sys.stderr)
                else:
                    shutil.rmtree(scratch / f"{fault.id}_{trial}")
        spent, wrong = time.monotonic() - started, sum(bool(o.wrong) for o in outcomes)
        print(f"round {number + 1}: {len(outcomes)} trials, {wrong} wrong, {spent:.0f} s", file=sys.stderr)


def failure(outcome: Outcome, seed: int) -> str:
    """What went wrong, and how to see it again."""
    case = f", {outcome.case}" if outcome.case else ""
    return (
        f"{outcome.fault}, trial {outcome.trial}{case}: {outcome.wrong}\n"
        f"    python -m tests.soak --seed {seed} --replay {outcome.fault}:{outcome.trial}"
    )


def table(faults: Sequence[Fault], outcomes: Sequence[Outcome], seed: int) -> str:
    """One line per fault: k of N, and what was counted; below it the trials that went wrong."""
    lines = []
    for fault in faults:
        own = [o for o in outcomes if o.fault == fault.id]
        counts = sum((Counter(o.counts) for o in own), Counter())
        counted = ", ".join(f"{count} {name}" for name, count in counts.items())
        kept = f"{sum(not o.wrong for o in own)} of {len(own)}"
        lines.append(f"{fault.id:4} {kept:>12}   {fault.what}{f': {counted}' if counted else ''}")
        lines += [f"    {line}" for o in own if o.wrong for line in failure(o, seed).splitlines()]
    return "\n".join(lines)


def report(faults: Sequence[Fault], outcomes: Sequence[Outcome], seed: int, seconds: float) -> dict[str, Any]:
    """What the JSON file holds."""
    import torch

    found: dict[str, Any] = {}
    for fault in faults:
        own = [o for o in outcomes if o.fault == fault.id]
        by_case = {case: [o for o in own if o.case == case] for case in fault.cases}
        found[fault.id] = {
            "what": fault.what,
            "right": sum(not o.wrong for o in own),
            "trials": len(own),
            "counts": dict(sum((Counter(o.counts) for o in own), Counter())),
            "cases": {case: [sum(not o.wrong for o in some), len(some)] for case, some in by_case.items()},
            "seconds": round(sum(o.seconds for o in own), 1),
            "wrong": [asdict(o) for o in own if o.wrong],
        }
    machine = {"python": platform.python_version(), "torch": str(torch.__version__), "cores": os.cpu_count()}
    return {"seed": seed, "seconds": round(seconds, 1), "machine": machine, "faults": found}


def elsewhere() -> list[dict[str, Any]]:
    """What other libraries do with the same faults, part by part."""
    modules = [f"soak.{part}_elsewhere" for part in PARTS]
    return [row._asdict() for name in modules for row in importlib.import_module(name).others()]


def find_faults() -> dict[str, Fault]:
    """The faults of all parts that there are, by id."""
    for part in PARTS:
        if importlib.util.find_spec(f"soak.{part}"):
            importlib.import_module(f"soak.{part}")
    return FAULTS


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser("python -m tests.soak", description="Faults put into real trainings.")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (30)")
    parser.add_argument("--seed", type=int, default=0, help="which random trials (0)")
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument("--others", action="store_true", help="measure beside it what other libraries do")
    parser.add_argument("--only", help="these faults only: A1,A2")
    parser.add_argument("--replay", metavar="FAULT:TRIAL", help="this trial alone; its folder is kept")
    options = parser.parse_args(arguments)
    known = find_faults()
    replay, _, trial = (options.replay or "").partition(":")
    wanted = [replay] if replay else (options.only or ",".join(known)).split(",")
    if unknown := [id for id in wanted if id not in known]:
        parser.error(f"unknown fault {unknown[0]!r}; valid: {', '.join(known)}")
    if replay and not trial.isdigit():
        parser.error(f"--replay takes a fault and the number of a trial, as A1:17; got {options.replay}")
    faults = [known[id] for id in wanted]

    from soak.runs import warm_up

    take_orphans()
    scratch = Path(tempfile.mkdtemp(prefix="soak_"))
    outcomes: list[Outcome] = []
    started, interrupted = time.monotonic(), False
    try:
        warm_up(scratch)
        if replay:
            outcomes.append(attempt(faults[0], options.seed, int(trial), scratch))
        else:
            soak(faults, options.seed, 60 * options.minutes, scratch, outcomes)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        end_all()
    print(table(faults, outcomes, options.seed))
    if options.json:
        found = report(faults, outcomes, options.seed, time.monotonic() - started)
        options.json.write_text(json.dumps(found, indent=1) + "\n")
        if options.others and not interrupted:
            options.json.write_text(json.dumps(found | {"others": elsewhere()}, indent=1) + "\n")
    wrong = any(outcome.wrong for outcome in outcomes)
    if wrong or replay:
        print(f"what was left there: {scratch}", file=sys.stderr)
    else:
        shutil.rmtree(scratch)
    return 130 if interrupted else int(wrong)
