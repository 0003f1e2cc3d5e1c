"""What can be wrong with a run, looked at before it trains: a mistake is answered in seconds, and in one line."""

import inspect
import os
import shutil
from typing import TYPE_CHECKING, Any

from zoo.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from zoo.config import Settings, TrainerConfig
    from zoo.data.dataset import DataSet


def check_hardware(trainer: "TrainerConfig") -> None:
    """Raises ConfigError where the processors asked for, or the compiler, are not there."""
    import torch

    accelerator = trainer.accelerator
    there = {"gpu": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(accelerator, True):
        raise ConfigError(f"trainer.accelerator={accelerator}: this machine has none; use trainer=cpu")
    on_gpus = accelerator in ("auto", "gpu") and there["gpu"]
    if on_gpus and trainer.devices > torch.cuda.device_count():
        raise ConfigError(
            f"trainer.devices={trainer.devices}: this machine has {torch.cuda.device_count()} GPU; ask for as many, "
            f"or use trainer.accelerator=cpu"
        )
    several = trainer.devices * trainer.num_nodes > 1
    if several and not on_gpus and (accelerator == "mps" or accelerator == "auto" and there["mps"]):
        raise ConfigError("trainer.devices must be 1 with accelerator mps; use trainer.accelerator=cpu for more")
    if trainer.compile and not any(map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++"))):
        raise ConfigError("trainer.compile=true needs a C++ compiler, such as g++, on the PATH; set it to false")


def check_processes(network: "nn.Module", data: "DataSet", settings: "Settings") -> None:
    """What cannot be split among processes is told so. Raises ConfigError."""
    trainer = settings.trainer
    processes = trainer.devices * trainer.num_nodes
    if processes == 1:
        return
    asked = f"trainer.devices={trainer.devices}" + f" x {trainer.num_nodes}" * (trainer.num_nodes > 1)
    model = f"model={settings.names['model']}"
    if "share" not in inspect.signature(data.batches).parameters:
        raise ConfigError(f"{asked}: the batches of data={settings.names['data']} cannot be split; use trainer=auto")
    for trait, why in (
        ("update", "takes steps of its own"),
        ("carries_state", "carries a state from batch to batch"),
        ("takes_all_at_once", "takes the whole training set at once"),
        ("phases", "is trained in phases"),
    ):
        if getattr(network, trait, False):
            raise ConfigError(f"{asked}: {model} {why}, which cannot be split; use trainer=auto")
    if processes > data.batch_size:
        raise ConfigError(
            f"{asked}: data.batch_size={data.batch_size} is shared by {processes} processes, and must be >= {processes}"
        )


def uncompiled(network: "nn.Module") -> str | None:
    """Why the loss of a network is left as it is by `trainer.compile`, or None: what it does changes on the way."""
    for trait, why in (
        ("update", "it takes steps of its own"),
        ("carries_state", "it carries a state"),
        ("phases", "it is trained in phases"),
    ):
        if getattr(network, trait, False):
            return why
    return None


def check_fit(network: "nn.Module", data: "DataSet", settings: "Settings") -> None:
    """A model that cannot take the data is told so before any training. Raises ConfigError."""
    import torch

    phases = len(getattr(network, "phases", []))
    try:
        with torch.no_grad():
            network.eval()
            for number in range(phases or 1):
                if phases:
                    network.phase = number  # it ends with the last one, as it was
                metrics = network.loss(data.example_batch())
                if (views := getattr(data, "views", 1)) > 1:  # of a test picture
                    images, labels = data.example_batch()
                    network.loss((torch.stack([images] * views, 1), labels))
                if not metrics["loss"].isfinite():
                    raise ValueError(f"the loss of a blank item is {float(metrics['loss'])}")
        network.train()
    except (ValueError, RuntimeError, IndexError) as error:
        why = str(error).splitlines()[0]
        if "unpack" in why:  # Python's own words for `images, labels = batch`
            why = f"a batch is {len(data.example_batch())} tensors, which is another number than the network takes"
        raise ConfigError(
            f"model={settings.names['model']} does not fit data={settings.names['data']}, whose items have shape "
            f"{tuple(data.provides['input_shape'])}: {why}"
        ) from error
    trainer = settings.trainer
    if trainer.monitor == "val/acc" and "acc" not in metrics:
        if trainer.select == "best" or trainer.early_stopping_patience:
            raise ConfigError(f"trainer.monitor must be val/loss: model={settings.names['model']} has no accuracy")


def check_optimizer(settings: "Settings") -> None:
    """What Lightning would refuse at the first step. Raises ConfigError."""
    if (
        settings.optimizer.get("fused")
        and settings.trainer.gradient_clip_norm is not None
        and settings.trainer.precision.endswith("-mixed")
    ):
        raise ConfigError(
            f"optimizer.fused=true takes no clipped gradients in trainer.precision={settings.trainer.precision}; "
            f"leave one of the three away"
        )


def check_update(network: "nn.Module", settings: "Settings") -> None:
    """Of optimizer and trainer, a network that changes its weights itself heeds the learning rate and its schedule.

    What else is asked for would be left undone without a word. Raises ConfigError.
    """
    if not hasattr(network, "update"):
        return
    own = f"model={settings.names['model']} takes steps of its own"
    optimizer = settings.optimizer
    if settings.names["optimizer"] != "sgd" or optimizer["momentum"] or optimizer["weight_decay"]:
        raise ConfigError(f"{own}: it needs optimizer=sgd, without momentum and weight_decay")
    if settings.trainer.gradient_clip_norm is not None:
        raise ConfigError(f"{own}: trainer.gradient_clip_norm must be null")
    if settings.trainer.precision not in ("32-true", "bf16-mixed"):
        raise ConfigError(f"{own}: trainer.precision must be 32-true or bf16-mixed, got {settings.trainer.precision!r}")


def planned_phases(network: "nn.Module", settings: "Settings") -> list[dict[str, Any]] | None:
    """The phases that a network is trained in, as name, epochs and number of parameters; None where it has none.

    Raises ConfigError where the epochs do not suffice, or early stopping would stop in the first of them.
    """
    from zoo.phases import Plan

    if not hasattr(network, "phases"):
        return None
    if settings.trainer.early_stopping_patience and len(network.phases) > 1:
        raise ConfigError(
            f"trainer.early_stopping_patience must be null: model={settings.names['model']} is trained in phases, "
            f"whose losses are different ones"
        )
    plan = Plan(network, 1, settings.trainer.max_epochs)
    return [
        {"name": phase.name, "epochs": epochs, "trained": plan.trained(number)}
        for number, (phase, epochs) in enumerate(zip(plan.phases, plan.epochs, strict=True))
    ]


def check_items(network: "nn.Module", data: "DataSet", settings: "Settings") -> None:
    """What a network asks of the training items, once they are read. Raises ConfigError."""
    name = f"model={settings.names['model']}"
    if getattr(network, "takes_all_at_once", False) and len(data.batches("train")) * settings.trainer.max_epochs > 1:
        raise ConfigError(
            f"{name} takes the whole training set at once: data.batch_size must be "
            f">= {len(data.train[0])} and trainer.max_epochs 1"
        )
    try:
        if hasattr(network, "check"):
            network.check(data.ready("train", slice(5000))[0])
        for phase in getattr(network, "phases", []):
            if phase.rows:
                phase.rows(data.train[-1], settings.seed)
    except ValueError as error:
        raise ConfigError(f"{name} does not fit data={settings.names['data']}: {error}") from error
