"""`python train.py`: compose -> seed -> data -> model -> fit -> test -> figures -> one result line.

Everything that can be wrong is looked at before Lightning is imported, so that a mistake is answered in seconds.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from zoo.errors import ConfigError, DataError, OutputError, ZooError

HELP = """\
usage: python train.py [experiment=NAME] [key=value ...]      train, test, draw, and say whether the promise was kept
       python train.py -m seed=1,2,3 [key=a,b ...]            sweep: every combination, then a table of means
       python train.py --cfg [key=value ...]                  print the composed configuration and stop
"""


def main(arguments: list[str] | None = None) -> None:
    """The command line: run, and turn every error into one line and an exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        sys.exit(command(arguments))
    except ZooError as error:
        print(f"error: {error}" if error.exit_code < 128 else str(error), file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("stopped by Ctrl-C", file=sys.stderr)
        sys.exit(130)


def command(arguments: list[str]) -> int:
    """What the arguments ask for; the exit code."""
    if "--help" in arguments or "-h" in arguments:
        print_help()
        return 0
    from zoo.config import compose_settings

    result = run(compose_settings(arguments))
    print(json.dumps(result))
    return 0


def print_help() -> None:
    """Usage, and what there is to choose from."""
    from importlib.resources import files

    from zoo.registry import load_all

    print(HELP)
    for group, classes in load_all().items():
        print(f"{group}= {' '.join(sorted(classes))}")
    print("experiment=")
    for file in sorted((files("zoo.configs") / "experiment").iterdir(), key=lambda f: f.name):
        print(f"  {file.name.removesuffix('.yaml'):24} {file.read_text().splitlines()[1].lstrip('# ')}")


def run(settings: Any) -> dict[str, Any]:
    """Train, test and draw one run; returns what result.json holds."""
    import torch
    import yaml

    from zoo.config import as_dict
    from zoo.registry import build

    started = time.perf_counter()
    if settings.trainer.threads:
        torch.set_num_threads(settings.trainer.threads)
    data = build("data", settings.names["data"], settings.data)
    arguments = {k: data.provides.get(k, v) if v == "???" else v for k, v in settings.model.items()}
    torch.manual_seed(settings.seed)
    network = build("model", settings.names["model"], arguments)
    recipe = build("optimizer", settings.names["optimizer"], settings.optimizer)
    data.load()
    check_fit(network, data, settings)
    folder = run_folder(settings)
    (folder / "config.yaml").write_text(yaml.safe_dump(as_dict(settings), sort_keys=False))

    from zoo.torchvision_operators import declare_missing_operators

    declare_missing_operators()
    from zoo.fit import fit_and_test

    about = {
        "model": settings.names["model"],
        "arguments": arguments,
        "data": settings.names["data"],
        "transform": data.transform,
        "seed": settings.seed,
    }
    setup = time.perf_counter() - started
    outcome = fit_and_test(settings, network, data, recipe, folder, about)
    outcome["seconds"]["setup"] = round(setup, 2)
    kept = all(low <= outcome["metrics"].get(name, float("nan")) <= high
               for name, (low, high) in settings.expect.items())
    result = {
        "experiment": settings.experiment,
        "seed": settings.seed,
        "metrics": outcome["metrics"],
        "expect": settings.expect,
        "pass": kept,
        "seconds": outcome["seconds"],
        "checkpoint": str(folder / "checkpoints" / "best.ckpt"),
        "figures": [],
    }
    (folder / "result.json").write_text(json.dumps(result) + "\n")
    return result


def check_fit(network: Any, data: Any, settings: Any) -> None:
    """A model that cannot take the data is told so before any training. Raises ConfigError."""
    import torch

    try:
        with torch.no_grad():
            network.eval().loss(tuple(t[:2] for t in data.train))
        network.train()
    except (ValueError, RuntimeError, IndexError) as error:
        raise ConfigError(
            f"model={settings.names['model']} does not fit data={settings.names['data']}, which gives items of shape "
            f"{tuple(data.provides['input_shape'])}: {str(error).splitlines()[0]}"
        ) from error


def run_folder(settings: Any) -> Path:
    """A directory of this run alone. Raises OutputError."""
    base = Path(settings.run_dir) if settings.run_dir else Path("runs") / settings.experiment
    try:
        if settings.run_dir:
            base.mkdir(parents=True, exist_ok=True)
            return base
        base.mkdir(parents=True, exist_ok=True)
        stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
        for attempt in range(1000):
            folder = base / (stamp if attempt == 0 else f"{stamp}_{attempt}")
            try:
                folder.mkdir()
                return folder
            except FileExistsError:
                continue
        raise OutputError(f"no free run directory under {base}")
    except OSError as error:
        raise OutputError(f"cannot make run directory {base}: {error.strerror}") from error
