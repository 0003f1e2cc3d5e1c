"""`python train.py -m seed=1,2,3 optimizer=sgd,adam`: every combination, then a table of mean, deviation and n.

The folder follows from the overrides, so the same command goes on where it was stopped and trains nothing twice.
"""

import dataclasses
import hashlib
import json
import math
import re
import statistics
import sys
from pathlib import Path
from typing import Any

import torch

from zoo import __version__
from zoo.checkpoint import write_whole
from zoo.config import Settings, compose_settings, expand
from zoo.errors import ConfigError, NumericError
from zoo.launchers import Launcher, split
from zoo.train import assemble, run


def sweep(overrides: list[str]) -> None:
    """Run what is not done yet; print and keep the table. Raises ConfigError before the first run for any of them."""
    overrides, of_launcher = split(overrides)
    jobs = [(job, compose_settings(job)) for job in expand(overrides)]
    base = give_folders(jobs)
    launcher = Launcher(of_launcher, base) if of_launcher else None
    waiting: dict[str, Settings] = {}
    for number, (job, settings) in enumerate(jobs, 1):
        label = f"run {number}/{len(jobs)}: {' '.join(job)}"
        if finished(settings).exists():
            print(f"{label}: done before", file=sys.stderr)
        else:
            waiting[label] = settings
    if launcher is None or launcher.name == "basic":
        train_in_turn(waiting)
    elif waiting:
        train_side_by_side(list(waiting.values()), launcher)
    results = [json.loads(finished(settings).read_text()) for _, settings in jobs]
    text = table([job for job, _ in jobs], results)
    write_whole(base / "table.txt", (text + "\n").encode())
    print(f"{text}\n{base / 'table.txt'}; delete {base} to train all of it again", file=sys.stderr)
    if all(settings.figures for _, settings in jobs):
        folders = [finished(settings).parent for _, settings in jobs]
        for path in compare(dict(zip(labels([job for job, _ in jobs], results), folders, strict=True)), base):
            print(f"figure: {path}", file=sys.stderr)
    if failed := sum("failed" in result for result in results):
        raise NumericError(f"{failed} of {len(results)} runs ended with numbers that are not finite; see above")


def give_folders(jobs: list[tuple[list[str], Settings]]) -> Path:
    """Check the jobs and give each its run_dir below the sweep's folder, which is returned. Raises ConfigError."""
    for key in ("run_dir", "ckpt_path"):
        if any(getattr(settings, key) for _, settings in jobs):
            raise ConfigError(f"{key} has no place in a sweep; the same command goes on where it was stopped")
    for _, settings in jobs:
        assemble(settings)
    names = sorted({settings.experiment for _, settings in jobs})
    composed = [dataclasses.asdict(settings) for _, settings in jobs]  # so that an edited experiment is another sweep
    digest = hashlib.sha256(json.dumps([__version__, composed], sort_keys=True).encode()).hexdigest()[:8]
    base = Path("runs") / "sweeps" / f"{'+'.join(names)}_{digest}"
    for number, (job, settings) in enumerate(jobs, 1):
        # `=` cannot stand in a path that Hydra is to take back.
        settings.run_dir = str(base / f"{number:04d}_{re.sub(r'[^A-Za-z0-9.,+-]+', '_', '_'.join(job))[:80]}")
    return base


def finished(settings: Settings) -> Path:
    """The file that is there once the run has ended, well or not."""
    return Path(settings.run_dir or "") / "result.json"


def train_in_turn(waiting: dict[str, Settings]) -> None:
    """One run after the other, in this process."""
    threads = torch.get_num_threads()
    for label, settings in waiting.items():
        print(label, file=sys.stderr)
        torch.set_num_threads(threads)  # the run before may have had its own
        print(json.dumps(train_one(settings)))


def train_side_by_side(waiting: list[Settings], launcher: Launcher) -> None:
    """Several at a time, in the processes of a launcher."""
    print(f"{len(waiting)} runs by hydra/launcher={launcher.name}, below {launcher.base}", file=sys.stderr)
    try:
        launcher.train(waiting, train_one)
    finally:  # what is finished is told, whatever has stopped the rest
        for settings in waiting:
            if finished(settings).exists():
                print(finished(settings).read_text(), end="")


def train_one(settings: Settings) -> dict[str, Any]:
    """Begin the run, or go on with it; one that diverges has a result too."""
    settings.ckpt_path = "last" if (Path(settings.run_dir or "") / "config.yaml").exists() else None
    try:
        return run(settings)
    except NumericError as error:
        print(f"error: {error}", file=sys.stderr)
        result = {"experiment": settings.experiment, "seed": settings.seed, "failed": str(error)}
        write_whole(finished(settings), (json.dumps(result) + "\n").encode())
        return result


def labels(jobs: list[list[str]], results: list[dict[str, Any]]) -> list[str]:
    """What tells each run apart: its overrides that are not the same everywhere, or the experiment."""
    common = set.intersection(*map(set, jobs))
    varied = [[text.removeprefix("experiment=") for text in job if text not in common] for job in jobs]
    return [" ".join(texts) or result["experiment"] for texts, result in zip(varied, results, strict=True)]


def compare(folders: dict[str, Path], base: Path) -> list[Path]:
    """The runs' validation losses in one figure, and each kind of curve that they left (zoo/curves.py)."""
    from zoo.curves import CURVES, draw_curves, read_curve
    from zoo.figures import read_metrics, save
    from zoo.palette import COLOURS

    found: dict[str, dict[str, list[tuple[float, float]]]] = {name: {} for name in CURVES}
    for label, folder in folders.items():
        if (folder / "metrics.csv").exists():
            for name, against in (("validation_loss", "epoch"), ("validation_loss_by_time", "seconds")):
                if losses := read_metrics(folder / "metrics.csv", against).get("val/loss"):
                    found[name][label] = losses
        for name in CURVES:
            if (path := folder / "figures" / f"{name}.csv").exists():
                found[name][label] = read_curve(path)
    title = base.name.rpartition("_")[0].replace("+", ", ")
    paths = []
    for name, curves in found.items():
        if len(curves) > len(COLOURS):
            print(f"{name}: {len(curves)} runs are too many for one figure (at most {len(COLOURS)})", file=sys.stderr)
        elif len(curves) > 1:
            paths.append(save(draw_curves(name, curves, title), base / f"{name}.png"))
    return paths


def table(jobs: list[list[str]], results: list[dict[str, Any]]) -> str:
    """Mean, standard deviation (n - 1) and n of the metrics, one line per setting; seeds are what is averaged over."""
    promised = [name for result in results for name in result.get("expect", {})]
    metrics = list(dict.fromkeys(promised)) or ["test/loss", "test/acc"]
    groups: dict[str, list[dict[str, Any]]] = {}
    unseeded = [[text for text in job if not text.startswith("seed=")] for job in jobs]
    for setting, result in zip(labels(unseeded, results), results, strict=True):
        groups.setdefault(setting, []).append(result)
    width = max(len("setting"), *map(len, groups))
    lines = [f"{'setting':{width}}  {'metric':16} {'mean':>9} {'std':>9} {'min':>9} {'max':>9} {'n':>5}"]
    for setting, members in groups.items():
        if failed := sum("failed" in result for result in members):
            lines.append(f"{setting:{width}}  {failed} of {len(members)} failed")
        for name in metrics:
            values = [result["metrics"][name] for result in members if name in result.get("metrics", {})]
            if values:
                deviation = statistics.stdev(values) if len(values) > 1 else math.nan
                lines.append(
                    f"{setting:{width}}  {name:16} {statistics.mean(values):9.4f} {deviation:9.4f} "
                    f"{min(values):9.4f} {max(values):9.4f} {len(values):5d}"
                )
    return "\n".join(lines)
