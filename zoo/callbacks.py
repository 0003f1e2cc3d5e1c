"""What keeps a run dependable: whole checkpoints, a guard against signals and bad numbers, and a sign of life."""

import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins import CheckpointIO

from zoo.checkpoint import read_checkpoint, write_checkpoint, write_whole
from zoo.errors import NumericError, Stopped
from zoo.processes import first, largest, share, total

if TYPE_CHECKING:
    from zoo.data.dataset import DataSet
    from zoo.loggers import MetricsCSV
    from zoo.phases import Plan


class SafeCheckpointIO(CheckpointIO):
    """Lightning's checkpoints through our files: whole or absent, checked on loading, nothing executed."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write. Raises NumericError, and keeps the file before, if a weight or a moment is no finite number."""
        learnt = {k: checkpoint[k] for k in ("state_dict", "optimizer_states", "carried_state") if k in checkpoint}
        for where, tensor in tensors(learnt):
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise NumericError(f"{where} is no longer finite; {path} was not written and stays as it was")
        write_checkpoint(checkpoint, path)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        """Read and check; code is never unpickled, whatever the caller says."""
        return read_checkpoint(path)

    def remove_checkpoint(self, path: Any) -> None:
        """Delete a file."""
        Path(path).unlink(missing_ok=True)


def tensors(value: Any, where: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor in nested dicts and lists, with the keys that lead to it."""
    if isinstance(value, torch.Tensor):
        yield where, value
    elif isinstance(value, (dict, list, tuple)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from tensors(item, f"{where}.{key}" if where else str(key))


def keep_last_as_best(last: Path, best: Path) -> None:
    """best.ckpt is last.ckpt without what only a continuation needs."""
    content = read_checkpoint(last)
    only_to_continue = ("optimizer_states", "lr_schedulers", "carried_state", "running_sums")
    write_checkpoint({key: value for key, value in content.items() if key not in only_to_continue}, best)


class Checkpoints(pl.Callback):
    """`last.ckpt` after each validation (and every n steps), `best.ckpt` for the epoch whose weights count.

    Of a training in phases `phase_0.ckpt` keeps the random start, `phase_1.ckpt`, ... the weights at the end of each
    phase but the last, and only an epoch of the last can be the best.
    Never after an epoch's last batch and before its validation: what is saved there could not be continued alike.
    """

    def __init__(
        self, last: Path, best: Path, select: str, monitor: str, every_n_steps: int | None, metrics: "MetricsCSV"
    ):
        self.last, self.best, self.select, self.monitor = last, best, select, monitor
        self.every_n_steps, self.metrics = every_n_steps, metrics
        self.best_value = math.inf if not monitor.endswith("acc") else -math.inf
        self.saved_step = -1

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """What the phases are to be compared with."""
        if len(module.plan.phases) > 1 and trainer.global_step == 0:
            self.save_phase(trainer, 0)

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Every n steps, and where max_steps ends the run in mid-epoch."""
        step = trainer.global_step
        due = self.every_n_steps and step % self.every_n_steps == 0
        if (due or step >= module.plan.total_steps) and batch_idx + 1 < trainer.num_training_batches:
            self.save_last(trainer, module)

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """After an epoch that was validated, and after the last."""
        if self.saved_step == trainer.global_step:
            return  # ended in mid-epoch; Lightning counts the epoch as done by now, which could not be continued alike
        step, plan = trainer.global_step, module.plan
        validated = (trainer.current_epoch + 1) % trainer.check_val_every_n_epoch == 0
        number = plan.number(step - 1)
        if number + 1 < len(plan.phases):
            if step == plan.ends[number]:
                self.save_phase(trainer, number + 1)
        elif validated and self.select == "best" and self.improved(float(trainer.callback_metrics[self.monitor])):
            trainer.save_checkpoint(self.best, weights_only=True)
        if validated or step >= plan.total_steps:
            self.save_last(trainer, module)

    def save_phase(self, trainer: Any, number: int) -> None:
        """The weights after so many phases."""
        trainer.save_checkpoint(self.last.with_name(f"phase_{number}.ckpt"), weights_only=True)

    def improved(self, value: float) -> bool:
        """Whether this is the best value yet; it is remembered."""
        better = value > self.best_value if self.monitor.endswith("acc") else value < self.best_value
        if better:
            self.best_value = value
        return better

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """The last epoch's weights, where they are the ones that count."""
        first(self.keep)

    def keep(self) -> None:
        """best.ckpt is there, with the weights that count."""
        if self.select == "last" or not self.best.exists():
            keep_last_as_best(self.last, self.best)

    def save_last(self, trainer: Any, module: Any) -> None:
        """Everything that is needed to go on, and the metrics so far."""
        self.saved_step = trainer.global_step
        module.about["stopped_early"] = trainer.should_stop
        self.metrics.write()  # first: rows after the checkpoint's step are dropped on continuing, lost ones are lost
        trainer.save_checkpoint(self.last)

    def state_dict(self) -> dict[str, Any]:
        """The best so far."""
        return {"best_value": self.best_value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it up again."""
        self.best_value = state["best_value"]


class Guard(pl.Callback):
    """Stops on a loss that is no number, and on SIGTERM or Ctrl-C after saving; a second signal stops at once.

    received: the signal that has come to this process. signum: the one that all of several processes have heard of, and
    at which they stop together.
    """

    def __init__(self, checkpoints: Checkpoints, total_steps: int):
        self.checkpoints, self.total_steps = checkpoints, total_steps
        self.received = self.signum = 0
        self.losses: list[torch.Tensor] = []

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Take the signals over from Lightning, which would end with exit code 0 and save nothing."""
        # On a GPU every look at a number waits for all work before it: look at fifty at a time.
        self.look_every = 1 if module.device.type == "cpu" else 50
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, self.receive)  # zoo/fit.py puts the old ones back

    def receive(self, signum: int, frame: Any) -> None:
        """Remember the first signal; do not wait after the second."""
        if self.received:
            os._exit(128 + signum)
        self.received = signum

    def agree(self) -> int:
        """The signal at which to stop, or 0: the same for every process, all of which must call it."""
        self.signum = largest(self.received)
        return self.signum

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Look at the loss and at the signal."""
        self.losses.append(outputs["loss"].detach())
        last = batch_idx + 1 == trainer.num_training_batches
        if last or len(self.losses) >= self.look_every:
            self.look(trainer.global_step)
        if self.agree() and not last:
            self.stop(trainer, module)

    def look(self, step: int) -> None:
        """Raise NumericError if one of the losses since the last look is not finite; of several processes, in all."""
        if share().processes > 1:
            self.losses = list(total(torch.stack(self.losses)) / share().processes)
        for back, loss in enumerate(self.losses, 1 - len(self.losses)):  # oldest first
            if not math.isfinite(loss):
                raise NumericError(
                    f"the loss is {float(loss)} at step {step + back}; try a smaller optimizer.lr, "
                    f"trainer.gradient_clip_norm=1 or trainer.precision=32-true; {self.checkpoints.last.parent} "
                    f"holds what was saved before"
                )
        self.losses.clear()

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """A validation that gives no number stops the run as well."""
        for name, value in trainer.callback_metrics.items():
            if not math.isfinite(value):
                raise NumericError(f"{name} is {float(value)} after step {trainer.global_step}")

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """A signal that came with the last batch or in validation is answered after both."""
        if self.agree():
            self.checkpoints.on_train_epoch_end(trainer, module)  # this epoch may be the best
            self.stop(trainer, module)

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """All steps that were planned have been taken, unless early stopping said otherwise."""
        if trainer.global_step != self.total_steps and not trainer.should_stop:
            raise AssertionError(f"planned {self.total_steps} steps, executed {trainer.global_step}")

    def stop(self, trainer: Any, module: Any) -> None:
        """Save, say where, and leave."""
        if self.checkpoints.saved_step != trainer.global_step:
            self.checkpoints.save_last(trainer, module)
        raise self.stopped(trainer.global_step)

    def stopped(self, step: int) -> Stopped:
        """What to tell the user."""
        return Stopped(
            self.signum,
            f"stopped by {signal.Signals(self.signum).name} at step {step}, saved as "
            f"{self.checkpoints.last}; the same command with ckpt_path=last continues",
        )


class Phases(pl.Callback):
    """Takes a network through the phases of its training.

    What each of them trains is said on stderr, whatever `trainer.progress` is: it is one line.
    """

    def __init__(self, plan: "Plan"):
        self.plan = plan
        self.entered = -1

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        """Enter the phase of this step; at its first step, which is not where a stopped run goes on, begin it."""
        number = self.plan.number(trainer.global_step)
        if number == self.entered:
            return
        self.entered = number
        if trainer.global_step == self.plan.first_step(number):
            begin = self.plan.phases[number].begin
            if begin:
                begin()
            trainer.optimizers[0].state = module.recipe.build(module.network.parameters()).state  # no moments
            module.means.clear()
        print(self.plan.enter(number), file=sys.stderr)

    def on_train_end(self, trainer: Any, module: Any) -> None:
        """As the network was made: in its last phase, wherever `trainer.max_steps` has ended the run."""
        self.plan.enter(len(self.plan.phases) - 1)


class Reports(pl.Callback):
    """What the data set reports of the network, before the first step and after each validation.

    Written to `reports/<step>.txt`; the beginning of a text goes to stderr, at most once a second.
    """

    def __init__(self, folder: Path, data: "DataSet", seed: int, show: bool):
        self.folder, self.data, self.seed, self.show = folder, data, seed, show
        self.printed = 0.0

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """Of the untrained network."""
        if trainer.global_step == 0:
            module.network.eval()
            self.report(trainer, module)
            module.network.train()

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        """The same draws each time, so that what changes is the network, which is in eval mode here."""
        self.report(trainer, module)

    def report(self, trainer: Any, module: Any) -> None:
        """Write and show, where there is something to report."""
        text = self.data.report(module.network, self.seed)
        if text is None:
            return
        write_whole(self.folder / f"{trainer.global_step:07d}.txt", text.encode())
        if self.show and self.data.consecutive and time.monotonic() - self.printed > 1:
            self.printed = time.monotonic()
            print(f"  {text[:100]!r}", file=sys.stderr)


class Progress(pl.Callback):
    """A line on stderr at the end of an epoch, and within a long one; at most one a second."""

    def __init__(self, total_steps: int):
        self.total_steps = total_steps
        self.started = self.printed = time.monotonic()

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Within an epoch every five seconds."""
        if time.monotonic() - self.printed > 5:
            self.tell(trainer, f"loss {float(outputs['loss']):.4f}")

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """The epoch's metrics, without details such as `val/analogies/family`."""
        if time.monotonic() - self.printed > 1 or trainer.global_step == self.total_steps:
            means = [(name, value) for name, value in sorted(module.means.items()) if name.count("/") == 1]
            self.tell(trainer, "  ".join(f"{name} {value:.4f}" for name, value in means))

    def tell(self, trainer: Any, text: str) -> None:
        """Where the run is, and how long it has taken."""
        self.printed = time.monotonic()
        print(
            f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  step {trainer.global_step}/{self.total_steps}  "
            f"{text}  {self.printed - self.started:.1f} s",
            file=sys.stderr,
        )
