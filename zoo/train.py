"""`python train.py`: compose -> data -> model -> fit -> test -> figures -> one result line.

Everything that can be wrong is looked at before Lightning is imported, so that a mistake is answered in seconds.
"""

import contextlib
import dataclasses
import gc
import json
import math
import os
import platform
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import CheckpointError, ConfigError, OutputError, ZooError

if TYPE_CHECKING:
    from torch import nn

    from zoo.config import Settings
    from zoo.data.dataset import DataSet
    from zoo.optimizers import Recipe

HELP = """\
usage: python train.py [experiment=NAME] [key=value ...]   train, test, draw, and say whether the promise was kept
       python train.py -m seed=1,2,3 [key=a,b ...]         every combination, then a table of mean, deviation, n
       python train.py --cfg [key=value ...]               print the composed configuration and stop

A run that was stopped goes on with ckpt_path=last. All keys: python train.py --cfg
"""


def main(arguments: list[str] | None = None) -> None:
    """The command line: run, and turn every error into one line and an exit code."""
    gc.disable()  # a collection looks at each of the million objects that imports make, and frees none
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, stop)
    try:
        command(sys.argv[1:] if arguments is None else arguments)
        sys.exit(0)
    except ZooError as error:
        print(str(error) if error.exit_code >= 128 else f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def stop(signum: int, frame: Any) -> None:
    """SIGTERM or Ctrl-C while nothing is being trained; during training zoo/callbacks.py saves first.

    Leaves at once: an exception raised in the middle of an import may be swallowed there.
    """
    text = f"stopped by {signal.Signals(signum).name}; a run that had begun goes on with ckpt_path=last\n"
    os.write(2, text.encode())
    os._exit(128 + signum)


def command(arguments: list[str]) -> None:
    """Do what the arguments ask for."""
    flags = {text for text in arguments if text.startswith("-")}
    overrides = [text for text in arguments if text not in flags]
    if unknown := flags - {"-h", "--help", "-m", "--multirun", "-c", "--cfg"}:
        raise ConfigError(f"unknown option {sorted(unknown)[0]!r}; valid: --help, -m, --cfg")
    if flags & {"-h", "--help"}:
        print_help()
        return
    from zoo.config import compose_settings, expand

    if flags & {"-c", "--cfg"}:
        import yaml

        print(yaml.safe_dump(dataclasses.asdict(compose_settings(overrides)), sort_keys=False), end="")
    elif flags & {"-m", "--multirun"}:
        from zoo.sweep import sweep

        sweep(overrides)
    else:
        jobs = expand(overrides)
        if len(jobs) > 1:
            raise ConfigError(f"these overrides name {len(jobs)} runs; add -m to train them all")
        print(json.dumps(run(compose_settings(overrides))))


def print_help() -> None:
    """Usage, and what there is to choose from."""
    from importlib.resources import files

    from zoo.registry import load_all

    print(HELP)
    for group, classes in load_all().items():
        print(f"{group:10} {', '.join(sorted(classes))}")
    for group in ("trainer", "logger"):
        folder = files("zoo.configs") / group
        print(f"{group:10} {', '.join(sorted(f.name.removesuffix('.yaml') for f in folder.iterdir()))}")
    print("experiment")
    for file in sorted((files("zoo.configs") / "experiment").iterdir(), key=lambda f: f.name):
        about = file.read_text().splitlines()[1].lstrip("# ")
        print(f"  {file.name.removesuffix('.yaml'):20} {about}")


def run(settings: "Settings") -> dict[str, Any]:
    """Train, test and draw one run; returns what result.json holds. Raises ZooError."""
    started = time.perf_counter()
    import torch

    if settings.trainer.threads:
        torch.set_num_threads(settings.trainer.threads)
    data, network, recipe, about = assemble(settings)
    folder, resume_from = continued(settings, about) or (new_folder(settings), None)
    try:
        data.load()
    except ZooError:
        with contextlib.suppress(OSError):
            folder.rmdir()  # nothing has begun; a folder with something in it stays
        raise
    write_config(settings, folder)
    before = {f"before/{name}": value for name, value in data.probe(network).items()}

    from zoo.torchvision_operators import declare_missing_operators

    declare_missing_operators()
    from zoo.fit import fit, test  # imports Lightning

    gc.freeze()  # what the imports made stays; from here on the collector looks at new objects only
    gc.enable()
    imported = time.perf_counter()
    metrics = fit(settings, network, data, recipe, folder, about, resume_from)
    fitted = time.perf_counter()
    metrics |= test(settings, network, data) | before
    metrics |= {f"test/{name}": value for name, value in data.probe(network).items()}
    tested = time.perf_counter()
    figures = []
    if settings.figures:
        from zoo.figures import draw_all

        figures = [str(path) for path in draw_all(network, data, folder, settings.experiment)]
    result = {
        "experiment": settings.experiment,
        "seed": settings.seed,
        "metrics": {name: round(float(value), 6) for name, value in metrics.items()},
        "expect": settings.expect,
        "pass": all(low <= metrics.get(name, math.nan) <= high for name, (low, high) in settings.expect.items()),
        "parameters": sum(p.numel() for p in network.parameters()),
        "seconds": {
            "setup": round(imported - started, 2),
            "fit": round(fitted - imported, 2),
            "test": round(tested - fitted, 2),
            "figures": round(time.perf_counter() - tested, 2),
        },
        "checkpoint": str(folder / "checkpoints" / "best.ckpt"),
        "figures": figures,
        "overrides": settings.overrides,
        "machine": {
            "threads": torch.get_num_threads(),
            "processor": processor_name(settings.trainer.accelerator),
            "torch": str(torch.__version__),
            "zoo": about["version"],
        },
    }
    from zoo.checkpoint import write_whole

    write_whole(folder / "result.json", (json.dumps(result) + "\n").encode())
    tell(result)
    return result


def assemble(settings: "Settings") -> tuple["DataSet", "nn.Module", "Recipe", dict[str, Any]]:
    """The parts of a run, seen to fit together, and what a checkpoint says of them; no data is read yet.

    Raises ConfigError, CheckpointError.
    """
    import torch

    from zoo.checkpoint import load_weights, read_checkpoint
    from zoo.registry import MISSING, build

    check_hardware(settings.trainer.accelerator, settings.trainer.devices)
    data = build("data", settings.names["data"], settings.data)
    arguments = {k: data.provides.get(k, v) if v == MISSING else v for k, v in settings.model.items()}
    torch.manual_seed(settings.seed)
    network = build("model", settings.names["model"], arguments)
    recipe = build("optimizer", settings.names["optimizer"], settings.optimizer)
    check_fit(network, data, settings)
    if settings.pretrained:
        load_weights(network, read_checkpoint(settings.pretrained), settings.pretrained)
    return data, network, recipe, describe(settings, arguments, data)


def check_hardware(accelerator: str, devices: int) -> None:
    """Raises ConfigError where the processor asked for is not there."""
    import torch

    there = {"gpu": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if accelerator in there and there[accelerator] < devices:
        raise ConfigError(
            f"trainer.accelerator={accelerator} with trainer.devices={devices}: "
            f"this machine has {there[accelerator]}; use trainer=cpu"
        )


def check_fit(network: "nn.Module", data: "DataSet", settings: "Settings") -> None:
    """A model that cannot take the data is told so before any training. Raises ConfigError."""
    import torch

    try:
        with torch.no_grad():
            network.eval().loss(data.example_batch())
        network.train()
    except (ValueError, RuntimeError, IndexError) as error:
        raise ConfigError(
            f"model={settings.names['model']} does not fit data={settings.names['data']}, whose items have shape "
            f"{tuple(data.provides['input_shape'])}: {str(error).splitlines()[0]}"
        ) from error


def processor_name(accelerator: str) -> str:
    """What the run was trained on, as its maker calls it."""
    import torch

    if accelerator in ("auto", "gpu") and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def describe(settings: "Settings", arguments: dict[str, Any], data: "DataSet") -> dict[str, Any]:
    """What a checkpoint says of itself, in plain values: enough to build the network and to continue the run."""
    import torch

    from zoo import __version__

    return {
        "experiment": settings.experiment,
        "model": settings.names["model"],
        "arguments": arguments,
        "data": settings.names["data"],
        "data_arguments": settings.data,
        "transform": data.transform,
        "optimizer": settings.names["optimizer"],
        "optimizer_arguments": settings.optimizer,
        "seed": settings.seed,
        "version": __version__,
        "torch": str(torch.__version__),
        "threads": torch.get_num_threads(),
    }


def continued(settings: "Settings", about: dict[str, Any]) -> tuple[Path, str | None] | None:
    """The folder and the checkpoint that `ckpt_path` means; None where no run is to be continued.

    A run that was killed before its first checkpoint goes on from its start. Raises CheckpointError where there is
    nothing to continue, or where the checkpoint is of another run.
    """
    from zoo.checkpoint import read_checkpoint

    if settings.ckpt_path is None:
        return None
    if settings.ckpt_path != "last":
        source = settings.ckpt_path
        folder = Path(settings.run_dir) if settings.run_dir else Path(source).parent.parent
    else:
        folder = Path(settings.run_dir) if settings.run_dir else unfinished_run(Path("runs") / settings.experiment)
        source = str(folder / "checkpoints" / "last.ckpt")
        if not Path(source).exists():
            return folder, None
    content = read_checkpoint(source)
    if "optimizer_states" not in content:
        raise CheckpointError(f"{source} holds weights only; continue from last.ckpt, or use pretrained={source}")
    for key in ("model", "arguments", "data", "data_arguments", "optimizer", "optimizer_arguments", "seed"):
        theirs, ours = content["zoo"][key], about[key]
        if theirs != ours:
            if isinstance(theirs, dict) and isinstance(ours, dict):
                key, theirs, ours = next(
                    (k, theirs.get(k), ours.get(k)) for k in {**theirs, **ours} if theirs.get(k) != ours.get(k)
                )
            raise CheckpointError(
                f"{source} was trained with {key}={theirs}, this command says {key}={ours}; "
                f"give the same settings, or start anew with pretrained={source}"
            )
    return folder, source


def unfinished_run(base: Path) -> Path:
    """The newest run below `base` that has no result. Raises CheckpointError."""
    runs = [path.parent for path in base.glob("*/config.yaml") if not (path.parent / "result.json").exists()]
    if not runs:
        raise CheckpointError(f"ckpt_path=last: no unfinished run in {base}")
    return max(runs, key=lambda path: path.name)


def new_folder(settings: "Settings") -> Path:
    """A directory of this run alone. Raises OutputError where it cannot be made or holds a run already."""
    wanted = Path(settings.run_dir or Path("runs") / settings.experiment / time.strftime("%Y-%m-%d_%H-%M-%S"))
    if settings.run_dir and (wanted / "config.yaml").exists():
        raise OutputError(f"run_dir={wanted} holds a run; choose another, or continue it with ckpt_path=last")
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        for number in range(1, 1000):  # two runs may start in the same second
            folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}_{number}")
            try:
                folder.mkdir(exist_ok=settings.run_dir is not None)
                return folder
            except FileExistsError:
                if settings.run_dir:
                    raise
    except OSError as error:
        raise OutputError(f"cannot make run directory {wanted}: {error.filename}: {error.strerror}") from error
    raise OutputError(f"a thousand runs of this second lie in {wanted.parent}")


def write_config(settings: "Settings", folder: Path) -> None:
    """config.yaml: what this run was asked for. Raises OutputError."""
    import yaml

    from zoo.checkpoint import write_whole

    write_whole(folder / "config.yaml", yaml.safe_dump(dataclasses.asdict(settings), sort_keys=False).encode())


def tell(result: dict[str, Any]) -> None:
    """Say on stderr what the result line says to machines."""
    for name, (low, high) in result["expect"].items():
        value = result["metrics"].get(name, math.nan)
        verdict = "PASS" if low <= value <= high else "MISSED"
        print(f"{verdict}: {name} is {value:.4f}, promised {low:g} to {high:g}", file=sys.stderr)
    for path in result["figures"]:
        print(f"figure: {path}", file=sys.stderr)
