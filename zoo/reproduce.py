"""`zoo reproduce`: train experiments, and say for each what was promised, what came out, and how long it took.

Every run is a process of its own, as if typed: `python train.py experiment=NAME seed=0`. What it says while it trains
goes to stderr; of several seeds the mean must keep the promise.
"""

import json
import statistics
import subprocess
import sys
import time
from importlib.resources import files
from typing import Any, NamedTuple

from zoo.errors import ConfigError
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
    verdict: str  # PASS, MISSED, or why there is none
    minutes: float  # of one run, on average


def named(experiments: list[str], lecture: str | None, every: bool) -> list[str]:
    """The experiments that are asked for. Raises ConfigError for one that is not there, or where none is asked for."""
    valid = sorted(file.name.removesuffix(".yaml") for file in (files("zoo.configs") / "experiment").iterdir())
    for name in experiments:
        if name not in valid:
            raise ConfigError(f"unknown experiment {name!r}{nearest(name, valid)}; valid: {', '.join(valid)}")
    wanted = list(experiments)
    if lecture is not None:
        from zoo.lectures.ledger import chosen

        wanted += sorted({name for one in chosen(lecture=lecture) for name in one.experiments})
    if every:
        wanted += valid
    if not wanted:
        raise ConfigError("zoo reproduce wants experiments, --lecture LECTURE, or --all (hours)")
    return list(dict.fromkeys(wanted))


def reproduce(experiment: str, seeds: int) -> Row:
    """Train with seeds 0, 1, ...; the first run that fails ends it, and its error is the verdict."""
    from zoo.lectures.pages import about

    started, results = time.perf_counter(), []
    for seed in range(seeds):
        command = [sys.executable, "-c", TRAIN, f"experiment={experiment}", f"seed={seed}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            if done.returncode in (130, 143):
                sys.exit(done.returncode)
            minutes = (time.perf_counter() - started) / 60
            return Row(experiment, about(experiment), "", None, [], f"exit code {done.returncode}", minutes)
        results.append(json.loads(done.stdout.splitlines()[-1]))
    minutes = (time.perf_counter() - started) / 60 / seeds
    return judged(experiment, about(experiment), results, minutes)


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
    """Experiment, promised, measured, verdict, minutes, as text."""
    if row.promised is None:
        return (row.experiment, "", "", row.verdict, f"{row.minutes:.1f}")
    low, high = row.promised
    spread = f" ± {statistics.stdev(row.values):.4f}" if len(row.values) > 1 else ""
    measured = f"{statistics.mean(row.values):.4f}{spread} (n = {len(row.values)})"
    return (row.experiment, f"{row.metric} {low:g} to {high:g}", measured, row.verdict, f"{row.minutes:.1f}")


TITLES = ("experiment", "promised", "measured", "", "minutes")


def table(rows: list[Row]) -> str:
    """For a terminal."""
    lines = [TITLES, *map(cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(f"{c:{w}}" for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def markdown(rows: list[Row]) -> str:
    """For a README: what it shows, too."""
    lines = ["| experiment | what | promised | measured | | minutes |", "|---|---|---|---|---|---|"]
    for row in rows:
        name, promised, measured, verdict, minutes = cells(row)
        lines.append(f"| `{name}` | {row.about} | {promised} | {measured} | {verdict} | {minutes} |")
    return "\n".join(lines)
