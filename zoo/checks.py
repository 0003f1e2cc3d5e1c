"""What can be wrong with a run, looked at before it trains: a mistake is answered in seconds, and in one line."""

from typing import TYPE_CHECKING, Any

from zoo.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from zoo.config import Settings
    from zoo.data.dataset import DataSet


def check_hardware(accelerator: str) -> None:
    """Raises ConfigError where the processor asked for is not there."""
    import torch

    there = {"gpu": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(accelerator, True):
        raise ConfigError(f"trainer.accelerator={accelerator}: this machine has none; use trainer=cpu")


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
                if not metrics["loss"].isfinite():
                    raise ValueError(f"the loss of a blank item is {float(metrics['loss'])}")
        network.train()
    except (ValueError, RuntimeError, IndexError) as error:
        raise ConfigError(
            f"model={settings.names['model']} does not fit data={settings.names['data']}, whose items have shape "
            f"{tuple(data.provides['input_shape'])}: {str(error).splitlines()[0]}"
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
            network.check(data.train[0])
        for phase in getattr(network, "phases", []):
            if phase.rows:
                phase.rows(data.train[-1], settings.seed)
    except ValueError as error:
        raise ConfigError(f"{name} does not fit data={settings.names['data']}: {error}") from error
