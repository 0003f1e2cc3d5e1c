"""Lightning's part of a run: Trainer, callbacks and loggers around a network and its data."""

import logging
import signal
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import nn

from zoo.callbacks import Checkpoints, Guard, Phases, Progress, Reports, SafeCheckpointIO, keep_last_as_best
from zoo.checkpoint import load_weights, read_checkpoint
from zoo.data.dataset import DataSet
from zoo.errors import ConfigError
from zoo.loggers import MetricsCSV, extra_logger
from zoo.module import ZooData, ZooModule
from zoo.optimizers import Recipe
from zoo.phases import Plan

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
    resume = read_checkpoint(resume_from) if resume_from else None
    steps_per_epoch = len(data.batches("train"))
    plan = Plan(network, steps_per_epoch, options.max_epochs, options.max_steps)
    metrics_csv = MetricsCSV(folder / "metrics.csv", first_step=resume["global_step"] if resume else 0)
    last, best = folder / "checkpoints" / "last.ckpt", folder / "checkpoints" / "best.ckpt"
    checkpoints = Checkpoints(
        last, best, options.select, options.monitor, options.checkpoint_every_n_steps, metrics_csv
    )
    stopped_early = resume and resume["zoo"]["stopped_early"] and options.early_stopping_patience
    if resume and (stopped_early or resume["global_step"] >= plan.total_steps):
        print(f"{resume_from} is at the end of the run: nothing is left to train", file=sys.stderr)
        if options.select == "last" or not best.exists():
            keep_last_as_best(last, best)
    else:
        guard = Guard(checkpoints, plan.total_steps)
        reports = Reports(folder / "reports", data, settings.seed, options.progress)
        callbacks: list[pl.Callback] = [guard, checkpoints, reports]
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
        if options.progress:
            callbacks.append(Progress(plan.total_steps))
        loggers: list[Logger] = [metrics_csv, *extra_logger(settings, folder)]
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
        module = ZooModule(
            network, recipe, plan, settings.seed, about, options.log_every_n_steps, carries_state(network, data)
        )
        handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
        try:
            trainer.fit(module, datamodule=ZooData(data, settings.seed, plan), ckpt_path=resume_from)
        finally:
            for signum, handler in handlers.items():
                signal.signal(signum, handler)
        if guard.signum:  # it came while the end was being saved
            raise guard.stopped(trainer.global_step)
    network.float()  # from here on as `zoo.load` gives it, whatever trainer.precision made of it
    chosen = read_checkpoint(best)
    load_weights(network, chosen, best)
    return dict(chosen["zoo"]["metrics"])


def test(settings: "Settings", network: nn.Module, data: DataSet) -> dict[str, float]:
    """Mean per item of each metric over the test set."""
    trainer = make_trainer(settings, False, [])
    module = ZooModule(network, None, None, settings.seed, {}, carries_state=carries_state(network, data))
    metrics = trainer.test(module, datamodule=ZooData(data, settings.seed), verbose=False)[0]
    network.float()
    return dict(metrics)


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
            devices=1,
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
