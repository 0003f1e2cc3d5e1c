"""Lightning's part of a run: Trainer, callbacks and loggers around a network and its data."""

import logging
import time
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping

from zoo.callbacks import Checkpoints, Guard, MetricsCSV, Progress, SafeCheckpointIO, parameter_count
from zoo.checkpoint import load_weights, read_checkpoint
from zoo.data.dataset import DataSet
from zoo.module import ZooData, ZooModule
from zoo.optimizers import Recipe


def quiet() -> None:
    """Lightning's advertisements and hints that do not apply here."""
    warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")  # torch >= 2.13 against Lightning 2.6.6
    # Ours starts at the batch that follows from the step.
    warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)


def fit_and_test(
    settings: Any, network: torch.nn.Module, data: DataSet, recipe: Recipe, folder: Path, about: dict[str, Any]
) -> dict[str, Any]:
    """Train and test; returns metrics and seconds."""
    quiet()
    options = settings.trainer
    loaders = ZooData(data, settings.seed)
    steps_per_epoch = -(-len(data.train[0]) // min(data.batch_size, len(data.train[0])))
    total = steps_per_epoch * options.max_epochs
    if options.max_steps:
        total = min(total, options.max_steps)
    module = ZooModule(network, recipe, total, settings.seed, about)
    checkpoints = Checkpoints(
        folder / "checkpoints", options.select, options.monitor, options.checkpoint_every_n_steps
    )
    callbacks: list[pl.Callback] = [Guard(checkpoints)]
    if options.early_stopping_patience:
        mode = "max" if options.monitor.endswith("acc") else "min"
        callbacks.append(EarlyStopping(options.monitor, patience=options.early_stopping_patience, mode=mode))
    if options.progress:
        callbacks.append(Progress())
    trainer = pl.Trainer(
        accelerator=options.accelerator,
        devices=options.devices,
        precision=options.precision,
        max_epochs=options.max_epochs,
        max_steps=options.max_steps or -1,
        gradient_clip_val=options.gradient_clip_norm,
        check_val_every_n_epoch=options.val_every_n_epochs,
        num_sanity_val_steps=0,
        logger=MetricsCSV(folder / "metrics.csv"),
        log_every_n_steps=1,
        callbacks=[*callbacks, checkpoints],
        plugins=[SafeCheckpointIO()],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=folder,
    )
    started = time.perf_counter()
    trainer.fit(module, datamodule=loaders, ckpt_path=settings.ckpt_path)
    fitted = time.perf_counter()
    best = folder / "checkpoints" / "best.ckpt"
    load_weights(network, read_checkpoint(best), best)
    metrics = {k: round(float(v), 6) for k, v in trainer.callback_metrics.items()}
    tested = trainer.test(module, datamodule=loaders, verbose=False)[0]
    metrics.update({k: round(float(v), 6) for k, v in tested.items()})
    metrics["parameters"] = parameter_count(network)
    seconds = {"fit": round(fitted - started, 2), "test": round(time.perf_counter() - fitted, 2)}
    return {"metrics": metrics, "seconds": seconds}
