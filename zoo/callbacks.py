"""What keeps a run dependable: its checkpoints, its guard against signals and bad numbers, its progress and metrics."""

import csv
import math
import os
import signal
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch.loggers.logger import Logger

from zoo.checkpoint import read_checkpoint, write_checkpoint, write_whole
from zoo.errors import NumericError, Stopped


class SafeCheckpointIO(CheckpointIO):
    """Lightning's checkpoints through our files: whole or absent, checked on loading, nothing executed."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Refuse to keep a number that is none, then write."""
        for name, tensor in checkpoint["state_dict"].items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise NumericError(f"weight {name!r} is no longer finite; nothing was saved over the last checkpoint")
        write_checkpoint(checkpoint, path)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        """Read and check, always without unpickling code."""
        return read_checkpoint(path)

    def remove_checkpoint(self, path: Any) -> None:
        """Delete a file."""
        Path(path).unlink(missing_ok=True)


class Checkpoints(pl.Callback):
    """`last.ckpt` after each validation (and every n steps), `best.ckpt` for the epoch that counts."""

    def __init__(self, folder: Path, select: str, monitor: str, every_n_steps: int | None):
        self.folder, self.select, self.monitor, self.every = folder, select, monitor, every_n_steps
        self.sign = -1.0 if monitor.endswith("acc") else 1.0
        self.best = math.inf
        self.best_epoch = -1
        self.saved_step = -1

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Every n steps, but not after an epoch's last batch: its validation is still to come."""
        if self.every and trainer.global_step % self.every == 0 and batch_idx + 1 < trainer.num_training_batches:
            self.save_last(trainer)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """After an epoch that was validated."""
        if (trainer.current_epoch + 1) % trainer.check_val_every_n_epoch:
            return
        if self.select == "best":
            value = self.sign * float(trainer.callback_metrics[self.monitor])
            if value < self.best:
                self.best, self.best_epoch = value, trainer.current_epoch
                trainer.save_checkpoint(self.folder / "best.ckpt", weights_only=True)
        self.save_last(trainer)

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """The last word, where the run did not end with a validated epoch."""
        if self.saved_step != trainer.global_step:
            self.save_last(trainer)
        if self.select == "last" or not (self.folder / "best.ckpt").exists():
            trainer.save_checkpoint(self.folder / "best.ckpt", weights_only=True)

    def save_last(self, trainer: Any) -> Path:
        """Everything that is needed to go on."""
        self.saved_step = trainer.global_step
        trainer.save_checkpoint(self.folder / "last.ckpt")
        return self.folder / "last.ckpt"

    def state_dict(self) -> dict[str, Any]:
        """The best so far."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it up again."""
        self.best, self.best_epoch = state["best"], state["best_epoch"]


class Guard(pl.Callback):
    """Stops on a loss that is no number, and on SIGTERM or Ctrl-C after saving; a second signal stops at once."""

    def __init__(self, checkpoints: Checkpoints):
        self.checkpoints = checkpoints
        self.signum = 0
        self.previous: dict[int, Any] = {}

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Take the signals over from Lightning, which would end with exit code 0 and save nothing."""
        for signum in (signal.SIGINT, signal.SIGTERM):
            self.previous[signum] = signal.signal(signum, self.receive)

    def receive(self, signum: int, frame: Any) -> None:
        """Remember the first signal; do not wait after the second."""
        if self.signum:
            os._exit(128 + signum)
        self.signum = signum

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Look at the loss and at the signal."""
        loss = outputs["loss"]
        if not math.isfinite(float(loss)):
            raise NumericError(
                f"the loss is {float(loss)} at step {trainer.global_step}; try a smaller optimizer.lr, "
                f"trainer.gradient_clip_norm=1 or trainer.precision=32-true"
            )
        if self.signum and batch_idx + 1 < trainer.num_training_batches:
            self.stop(trainer)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """A signal that came with the last batch or in validation is answered after both."""
        if self.signum:
            self.stop(trainer)

    def stop(self, trainer: Any) -> None:
        """Save, say where, and leave."""
        path = self.checkpoints.save_last(trainer)
        raise Stopped(
            self.signum,
            f"stopped by {signal.Signals(self.signum).name} at step {trainer.global_step}, saved {path}; "
            f"the same command with ckpt_path=last continues",
        )

    def teardown(self, trainer: Any, module: Any, stage: str) -> None:
        """Give the signals back."""
        for signum, handler in self.previous.items():
            signal.signal(signum, handler)
        self.previous = {}


class Progress(pl.Callback):
    """One line per epoch, at most one a second, on stderr."""

    def __init__(self) -> None:
        self.printed = 0.0
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """The epoch's metrics."""
        now = time.perf_counter()
        if now - self.printed < 1 and trainer.current_epoch + 1 < trainer.max_epochs:
            return
        self.printed = now
        metrics = {k: float(v) for k, v in trainer.callback_metrics.items()}
        text = "  ".join(f"{name} {value:.4f}" for name, value in sorted(metrics.items()))
        print(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {text}  {now - self.started:.1f} s",
            file=sys.stderr,
        )


class MetricsCSV(Logger):
    """metrics.csv with one row per logged step. A continued run keeps the rows before its first step.

    The file is written anew from memory at each validation, which keeps it whole and costs little: few rows, few columns.
    """

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.rows: dict[int, dict[str, Any]] = {}
        if path.exists():
            with open(path, newline="") as file:
                for row in csv.DictReader(file):
                    self.rows[int(row["step"])] = {k: v for k, v in row.items() if v != ""}

    @property
    def name(self) -> str:
        """The directory is the run's own."""
        return ""

    @property
    def version(self) -> str:
        """There is one per run."""
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """They stand in config.yaml."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add to the row of this step."""
        step = step or 0
        for later in [s for s in self.rows if s > step]:  # of the run that was stopped
            del self.rows[later]
        self.rows.setdefault(step, {"step": step}).update(metrics)

    def save(self) -> None:
        """Write the file, whole."""
        if not self.rows:
            return
        columns = sorted({name for row in self.rows.values() for name in row}, key=lambda n: (n != "step", n))
        lines = [",".join(columns)]
        lines += [",".join(str(row.get(c, "")) for c in columns) for row in self.rows.values()]
        write_whole(self.path, ("\n".join(lines) + "\n").encode())

    def finalize(self, status: str) -> None:
        """At the end of fit and test."""
        self.save()


def parameter_count(network: torch.nn.Module) -> int:
    """How many numbers are trained."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
