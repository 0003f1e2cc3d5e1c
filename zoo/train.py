"""`python train.py`: compose -> data -> model -> fit -> test -> figures -> one result line.

Everything that can be wrong is looked at (zoo/checks.py) before Lightning is imported.
"""

import contextlib
import dataclasses
import gc
import json
import math
import os
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.checks import (
    check_fit,
    check_hardware,
    check_items,
    check_optimizer,
    check_processes,
    check_update,
    planned_phases,
)
from zoo.errors import ConfigError, ZooError
from zoo.run_folder import continued, new_folder

if TYPE_CHECKING:
    from torch import nn

    from zoo.config import Settings, TrainerConfig
    from zoo.data.dataset import DataSet
    from zoo.optimizers import Recipe


DECISIVE = ("precision", "gradient_clip_norm", "select", "monitor")  # of the trainer's settings, for the weights


def run(settings: "Settings", run_folder: tuple[Path, str | None] | None = None) -> dict[str, Any]:
    """Train, test and draw one run; returns what result.json holds. Raises ZooError.

    run_folder: the folder, and the checkpoint to go on from or None, where they have been chosen already. Of several
    processes only the first one draws, and returns anything.
    """
    started = time.perf_counter()
    from zoo import processes

    set_threads(settings.trainer)
    here = processes.place(settings.trainer)
    data, network, recipe, about = assemble(settings)
    if here:
        processes.connect(settings.trainer, here)
    chosen = run_folder or processes.first(lambda: continued(settings, about) or (new_folder(settings), None))
    folder, resume_from = chosen
    try:
        processes.first(data.load)  # what is fetched, is fetched once
        if processes.share().rank:
            data.load()
        check_items(network, data, settings)
    except ZooError:
        with contextlib.suppress(OSError):
            folder.rmdir()  # nothing has begun; a folder with something in it stays
        raise
    if settings.trainer.devices > 1 and not here:
        from zoo.workers import launch

        del data, network  # each of them has its own
        return launch(settings, chosen)
    about["transform"] = data.transform  # with the vocabulary, which some sets know only now
    processes.first(lambda: write_config(settings, folder))
    if settings.trainer.progress and processes.share().rank == 0:
        names = settings.names
        print(f"{settings.experiment}: {names['model']} on {names['data']}, {folder}", file=sys.stderr)
    if hasattr(network, "summary") and processes.share().rank == 0:
        print(network.summary(), file=sys.stderr)
    network.eval()
    untrained = data.probe(network) if data.probes_untrained else {}
    before = {f"before/{name}": value for name, value in untrained.items()}
    network.train()

    import torch

    from zoo.torchvision_operators import declare_missing_operators

    declare_missing_operators()
    from zoo.fit import fit, test  # imports Lightning

    if not gc.get_freeze_count():  # of a sweep the first run only: what that leaves behind shall not stay
        gc.freeze()  # what the imports made stays; from here on the collector looks at new objects only
    gc.enable()
    imported = time.perf_counter()
    metrics = fit(settings, network, data, recipe, folder, about, resume_from)
    fitted = time.perf_counter()
    metrics |= test(settings, network, data) | before
    first_of_all = processes.share().rank == 0
    processes.disconnect()
    if not first_of_all:
        return {}
    network.eval()
    metrics |= {f"test/{name}": value for name, value in data.probe(network).items()}
    tested = time.perf_counter()
    figures = []
    if settings.figures:
        from zoo.figures import draw_all

        figures = [str(path) for path in draw_all(network, data, folder, settings.experiment)]
    kept = [low <= metrics.get(name, math.nan) <= high for name, (low, high) in settings.expect.items()]
    result = {
        "experiment": settings.experiment,
        "seed": settings.seed,
        "metrics": {name: round(float(value), 6) for name, value in metrics.items()},
        "expect": settings.expect,
        "pass": all(kept) if kept else None,  # None: nothing was promised
        "parameters": sum(p.numel() for p in network.parameters()),
        **({"phases": about["phases"]} if "phases" in about else {}),
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
            "processes": settings.trainer.devices * settings.trainer.num_nodes,
            "processor": processor_name(settings.trainer.accelerator),
            "torch": str(torch.__version__),
            "zoo": about["version"],
        },
    }
    from zoo.checkpoint import write_whole

    write_whole(folder / "result.json", (json.dumps(result) + "\n").encode())
    if report := data.report(network, settings.seed):
        print("".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in report), file=sys.stderr)
    tell(result)
    return result


def set_threads(trainer: "TrainerConfig") -> None:
    """As many threads of torch on the CPU as were asked for; processes of one machine share its cores."""
    import torch

    if trainer.threads:
        torch.set_num_threads(trainer.threads)
    elif trainer.devices > 1 and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // trainer.devices))


def assemble(settings: "Settings") -> tuple["DataSet", "nn.Module", "Recipe", dict[str, Any]]:
    """The parts of a run, seen to fit together, and what a checkpoint says of them.

    No data is read yet, but for texts, whose vocabulary decides the network's size. Raises ConfigError, DataError,
    CheckpointError.
    """
    import torch

    from zoo.checkpoint import load_weights
    from zoo.pretrained import read
    from zoo.registry import MISSING, build

    check_hardware(settings.trainer)
    data = build("data", settings.names["data"], settings.data)
    arguments = {k: data.provides.get(k, v) if v == MISSING else v for k, v in settings.model.items()}
    pair = f"model={settings.names['model']} does not fit data={settings.names['data']}"
    for key in arguments.keys() & data.provides.keys():
        if arguments[key] != data.provides[key]:
            given = any(text.startswith(f"model.{key}=") for text in settings.overrides)
            advice = f"leave {key} away" if given else f"set model.{key} to that"
            raise ConfigError(f"{pair}: {key} {arguments[key]!r} against {data.provides[key]!r}; {advice}")
    torch.manual_seed(settings.seed)
    try:
        network = build("model", settings.names["model"], arguments)
    except ConfigError as error:
        typed = {text.partition("=")[0] for text in settings.overrides}
        left = [k for k, v in settings.model.items() if v == MISSING and f"model.{k}" not in typed]  # to the data
        if not any(key in str(error) for key in left):
            raise
        why = str(error).removeprefix(f"model={settings.names['model']}: ")
        raise ConfigError(f"{pair}: {why}") from error
    recipe = build("optimizer", settings.names["optimizer"], settings.optimizer)
    check_fit(network, data, settings)
    check_update(network, settings)
    check_processes(network, data, settings)
    check_optimizer(settings)
    phases = planned_phases(network, settings)
    if settings.pretrained:
        anew = load_weights(network, read(settings.pretrained), settings.pretrained, new_head=True)
        if anew:
            print(f"pretrained={settings.pretrained}: {' and '.join(anew)} start anew, of other sizes", file=sys.stderr)
    about = describe(settings, arguments) | {"fingerprint": data.fingerprint}
    return data, network, recipe, about | ({"phases": phases} if phases else {})


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


def describe(settings: "Settings", arguments: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint says of itself, in plain values: enough to build the network and to continue the run."""
    import torch

    from zoo import __version__

    return {
        "experiment": settings.experiment,
        "model": settings.names["model"],
        "arguments": arguments,
        "data": settings.names["data"],
        "data_arguments": settings.data,
        "optimizer": settings.names["optimizer"],
        "optimizer_arguments": settings.optimizer,
        "trainer": {name: getattr(settings.trainer, name) for name in DECISIVE},
        "seed": settings.seed,
        "version": __version__,
        "torch": str(torch.__version__),
        "threads": torch.get_num_threads(),
        "processes": settings.trainer.devices * settings.trainer.num_nodes,
    }


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
