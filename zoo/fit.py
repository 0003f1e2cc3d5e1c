"""Lightning's part of a run: Trainer, callbacks and loggers around a network and its data."""

import contextlib
import logging
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import nn

from zoo.callbacks import Checkpoints, Guard, Phases, Progress, Reports, SafeCheckpointIO
from zoo.checkpoint import load_weights, read_checkpoint
from zoo.checks import uncompiled
from zoo.data.dataset import DataSet
from zoo.errors import NO_MEMORY, CheckpointError, ConfigError, DataError
from zoo.loggers import MetricsCSV, extra_logger
from zoo.module import ZooData, ZooModule
from zoo.optimizers import Recipe
from zoo.phases import Plan
from zoo.processes import PATIENCE, first, on_gpus, share

if TYPE_CHECKING:
    from zoo.config import Settings


def fit(
    settings: "Settings",
    network: nn.Module,
    data: DataSet,
    recipe: Recipe,
    folder: Path,
    about: dict[str, Any],
    resume_from: str | None,
) -> dict[str, float]:
    """Train `network` in place, up to the weights that count; returns the metrics of their epoch.

    resume_from: the checkpoint to go on from, or None.
    """
    options = settings.trainer
    resume = to_go_on_with(resume_from) if resume_from else None
    steps_per_epoch = len(data.batches("train"))
    plan = Plan(network, steps_per_epoch, options.max_epochs, options.max_steps)
    writes = share().rank == 0  # of several processes only the first leaves or shows anything
    metrics_csv = MetricsCSV(folder / "metrics.csv", first_step=resume["global_step"] if resume else 0)
    last, best = folder / "checkpoints" / "last.ckpt", folder / "checkpoints" / "best.ckpt"
    checkpoints = Checkpoints(
        last, best, options.select, options.monitor, options.checkpoint_every_n_steps, metrics_csv
    )
    stopped_early = resume and resume["zoo"].get("stopped_early") and options.early_stopping_patience
    if resume and (stopped_early or resume["global_step"] >= plan.total_steps):
        if writes:
            print(f"{resume_from} is at the end of the run: nothing is left to train", file=sys.stderr)
        first(checkpoints.keep)
    else:
        guard = Guard(checkpoints, plan.total_steps)
        callbacks: list[pl.Callback] = [guard, checkpoints]
        if writes:
            callbacks.append(Reports(folder / "reports", data, settings.seed, options.progress))
        if len(plan.phases) > 1:
            callbacks.append(Phases(plan))
        if options.early_stopping_patience:
            mode = "max" if options.monitor.endswith("acc") else "min"
            # After validation, and so before the checkpoint that has to remember what it saw.
            callbacks.insert(
                0,
                EarlyStopping(
                    options.monitor,
                    patience=options.early_stopping_patience,
                    mode=mode,
                    check_on_train_epoch_end=False,
                ),
            )
        if options.progress and writes:
            callbacks.append(Progress(plan.total_steps))
        loggers: list[Logger] = [metrics_csv, *extra_logger(settings, folder)] if writes else []
        trainer = make_trainer(
            settings, loggers, callbacks,
            max_epochs=options.max_epochs,
            max_steps=options.max_steps or -1,
            gradient_clip_val=options.gradient_clip_norm,
            check_val_every_n_epoch=options.val_every_n_epochs,
            num_sanity_val_steps=0,
            log_every_n_steps=steps_per_epoch,
            default_root_dir=folder,
        )  # fmt: skip
        module = carrier(settings, network, data, recipe, plan, about)
        if writes:
            tell_limits(settings, network)
        if options.precision == "64-true":
            network.double()  # Lightning would do so after loading a checkpoint, which it would round to single
        handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
        try:
            with readers():
                trainer.fit(module, datamodule=ZooData(data, settings.seed, plan), ckpt_path=resume_from)
        except RESTORING as error:
            if resume is None or trainer.global_step > resume["global_step"] or NO_MEMORY.search(str(error)):
                raise  # not before the first step of a continued run, and so not the checkpoint's fault
            why = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            raise CheckpointError(f"{resume_from} cannot be continued by this version: {why}") from error
        finally:
            for signum, handler in handlers.items():
                signal.signal(signum, handler)
        if guard.agree():  # it came while the end was being saved
            raise guard.stopped(trainer.global_step)
    as_loaded(network)
    chosen = read_checkpoint(best)
    load_weights(network, chosen, best)
    return dict(chosen["zoo"]["metrics"])


# What Lightning and torch raise over a checkpoint whose parts are not those that they expect.
RESTORING = (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)


def to_go_on_with(source: str) -> dict[str, Any]:
    """A checkpoint that holds what a continuation needs. Raises CheckpointError."""
    content = read_checkpoint(source)
    for key, kind in (("global_step", int), ("optimizer_states", list), ("loops", dict), ("callbacks", dict)):
        if not isinstance(content.get(key), kind):
            raise CheckpointError(f"{source} cannot be continued: its {key!r} is no {kind.__name__}")
    return content


def test(settings: "Settings", network: nn.Module, data: DataSet) -> dict[str, float]:
    """Mean per item of each metric over the test set."""
    trainer = make_trainer(settings, False, [])
    module = carrier(settings, network, data)
    with readers():
        metrics = trainer.test(module, datamodule=ZooData(data, settings.seed), verbose=False)[0]
    as_loaded(network)
    return dict(metrics)


@contextlib.contextmanager
def readers() -> Iterator[None]:
    """Within, a worker that dies is a DataError: torch's signal handler raises its error wherever the run is."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        why = str(error).splitlines()[0].strip()
        raise DataError(f"{why} data.num_workers=0 reads the pictures without workers") from error


def carrier(
    settings: "Settings",
    network: nn.Module,
    data: DataSet,
    recipe: Recipe | None = None,
    plan: Plan | None = None,
    about: dict[str, Any] | None = None,
) -> ZooModule:
    """The module that takes a network through a Trainer; recipe, plan and about are for training."""
    options = settings.trainer
    return ZooModule(
        network, recipe, plan, settings.seed, about or {}, options.log_every_n_steps,
        carries_state(network, data), options.channels_last, options.compile and not uncompiled(network),
    )  # fmt: skip


def tell_limits(settings: "Settings", network: nn.Module) -> None:
    """Say on stderr what of the trainer's settings does not hold for this network."""
    model, options = f"model={settings.names['model']}", settings.trainer
    if options.compile and (why := uncompiled(network)):
        print(f"{model} is not compiled: {why}", file=sys.stderr)
    normalises = any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in network.modules())
    if normalises and share().processes > 1 and not on_gpus(options.accelerator):
        print(f"{model}: on the CPU each process normalises by the statistics of its own share", file=sys.stderr)


def as_loaded(network: nn.Module) -> None:
    """From here on the network is as `zoo.load` gives it, whatever the trainer's settings have made of it."""
    network.float().to(memory_format=torch.contiguous_format)


def carries_state(network: nn.Module, data: DataSet) -> bool:
    """Whether the network has a state to carry, and the data batches that go on where the last has ended."""
    return data.consecutive and getattr(network, "carries_state", False)


def make_trainer(settings: "Settings", loggers: Any, callbacks: list[pl.Callback], **options: Any) -> pl.Trainer:
    """A Trainer without what the zoo does in its own way. Raises ConfigError where the hardware is not there."""
    warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")  # torch >= 2.13 against Lightning 2.6.6
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")  # tensors need none
    # It is: the batch to go on with follows from the step.
    warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    try:
        return pl.Trainer(
            accelerator=settings.trainer.accelerator,
            **several(settings),
            precision=settings.trainer.precision,
            logger=loggers,
            callbacks=callbacks,
            plugins=[SafeCheckpointIO()],
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            **options,
        )
    except (MisconfigurationException, RuntimeError, ValueError) as error:
        raise ConfigError(f"trainer: {str(error).splitlines()[0]}") from error


def several(settings: "Settings") -> dict[str, Any]:
    """The Trainer's options for one process, or for its place among several that are connected already."""
    options = settings.trainer
    if share().processes == 1:
        return {"devices": 1}
    warnings.filterwarnings("ignore", message=".*when logging on epoch level in distributed.*")  # they are means of all
    warnings.filterwarnings("ignore", message=".*Using `DistributedSampler` with the dataloaders.*")  # ours are exact
    return {
        "devices": options.devices,
        "num_nodes": options.num_nodes,
        "strategy": DDPStrategy(timeout=PATIENCE, gradient_as_bucket_view=True),
        "use_distributed_sampler": False,  # `Share` says what each process gets
        "sync_batchnorm": on_gpus(options.accelerator),  # torch has it for GPUs only
    }
