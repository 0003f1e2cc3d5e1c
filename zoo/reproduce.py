"""`zoo reproduce`: train experiments, and say for each what was promised, what came out, and how long it took.

Every run is a process of its own, as if typed: `python train.py experiment=NAME seed=0`. What it says while it trains
goes to stderr; of several seeds the mean must keep the promise.
"""

import json
import signal
import statistics
import subprocess
import sys
import time
from typing import Any, NamedTuple

from zoo.errors import ConfigError, Stopped
from zoo.experiments import config_names, experiment_title
from zoo.registry import nearest

PASS, MISSED = "PASS", "MISSED"
TRAIN = "from zoo.cli import main; main()"


class Row(NamedTuple):
    """How an experiment came out."""

    experiment: str
    about: str
    metric: str  # empty where nothing was promised or nothing came out
    promised: tuple[float, float] | None
    values: list[float]  # of the metric, by seed
    verdict: str  # PASS, MISSED, or in words why there is none
    minutes: float  # of one run, on average


def named(experiments: list[str], lecture: str | None, every: bool) -> list[str]:
    """The experiments that are asked for. Raises ConfigError for one that is not there, or where none is asked for."""
    valid = config_names()
    for name in experiments:
        if name not in valid:
            listed = "python train.py --help lists them"
            raise ConfigError(f"unknown experiment {name!r}{nearest(name, valid)}; {listed}")
    wanted = list(experiments)
    if lecture is not None:
        from zoo.lectures.ledger import chosen

        wanted += sorted({name for one in chosen(lecture=lecture) for name in one.experiments})
    if every:
        wanted += valid
    if not wanted:
        raise ConfigError(
            "zoo reproduce wants experiments, such as xor_mlp (python train.py --help lists them), "
            "--lecture LECTURE, or --all (hours)"
        )
    return list(dict.fromkeys(wanted))


def reproduce(experiment: str, seeds: int) -> Row:
    """Train with seeds 0, 1, ...; the first run that fails ends it, and its error is the verdict. Raises Stopped."""
    started, results = time.perf_counter(), []
    for seed in range(seeds):
        code, result, said = train([sys.executable, "-c", TRAIN, f"experiment={experiment}", f"seed={seed}"])
        if code:
            minutes = (time.perf_counter() - started) / 60
            why = said.removeprefix("error: ") if said.startswith("error: ") else f"exit code {code}: {said}"
            return Row(experiment, experiment_title(experiment), "", None, [], why, minutes)
        results.append(json.loads(result.splitlines()[-1]))
    minutes = (time.perf_counter() - started) / 60 / seeds
    return judged(experiment, experiment_title(experiment), results, minutes)


def train(command: list[str]) -> tuple[int, str, str]:
    """Run it: its exit code, all of stdout, and the last line of stderr, every line of which is passed on.

    It has a session of its own: Ctrl-C reaches this process alone, which asks the run to save and stop, once. Raises
    Stopped when it has.
    """
    received: list[int] = []

    def receive(signum: int, frame: Any) -> None:
        received.append(signum)
        run.terminate()

    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "errors": "replace"}
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    with subprocess.Popen(command, start_new_session=True, **pipes) as run:
        assert run.stdout and run.stderr
        try:
            for signum in before:
                signal.signal(signum, receive)
            said = ""
            for line in run.stderr:
                print(line, end="", file=sys.stderr, flush=True)
                said = line.strip() or said
            result = run.stdout.read()
            code = run.wait()
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)
            if run.poll() is None:  # nobody listens to it any more
                run.terminate()
    if received:
        raise Stopped(received[0], f"stopped by {signal.Signals(received[0]).name}")
    return code, result, said


def judged(experiment: str, about: str, results: list[dict[str, Any]], minutes: float) -> Row:
    """From the result lines of its seeds. The first promise counts; every shipped experiment makes one."""
    promises = list(results[0]["expect"].items())
    if not promises:
        return Row(experiment, about, "", None, [], "promises nothing", minutes)
    metric, (low, high) = promises[0]
    values = [result["metrics"][metric] for result in results]
    verdict = PASS if low <= statistics.mean(values) <= high else MISSED
    return Row(experiment, about, metric, (low, high), values, verdict, minutes)


def cells(row: Row) -> tuple[str, ...]:
    """Experiment, promised, measured, minutes, verdict, as text."""
    if row.promised is None:
        return (row.experiment, "", "", f"{row.minutes:.1f}", row.verdict)
    low, high = row.promised
    spread = f" ± {statistics.stdev(row.values):.4f}" if len(row.values) > 1 else ""
    measured = f"{statistics.mean(row.values):.4f}{spread} (n = {len(row.values)})"
    return (row.experiment, f"{row.metric} {low:g} to {high:g}", measured, f"{row.minutes:.1f}", row.verdict)


TITLES = ("experiment", "promised", "measured", "minutes", "")


def table(rows: list[Row]) -> str:
    """For a terminal."""
    lines = [TITLES, *map(cells, rows)]
    *widths, _ = (max(map(len, column)) for column in zip(*lines, strict=True))
    widths.append(0)  # a reason may be long
    return "\n".join("  ".join(f"{c:{w}}" for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def markdown(rows: list[Row]) -> str:
    """For a README: what it shows, too."""
    lines = ["| experiment | what | promised | measured | minutes | |", "|---|---|---|---|---|---|"]
    for row in rows:
        name, promised, measured, minutes, verdict = cells(row)
        lines.append(f"| `{name}` | {row.about} | {promised} | {measured} | {minutes} | {verdict} |")
    return "\n".join(lines)
