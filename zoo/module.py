"""The one LightningModule and the one LightningDataModule: they carry any network and any data set of the zoo."""

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from zoo.data.dataset import Batches, DataSet, mix
from zoo.optimizers import Recipe


class ZooModule(pl.LightningModule):
    """Steps, means of the metrics per epoch, and the optimizer around a network's `loss(batch)`.

    total_steps: planned optimizer steps, for the schedule.
    about: what the checkpoint says of the network, in plain values.
    log_every_n_steps: how many steps one training mean is over; None: the steps of an epoch.
    means: the latest mean per item of every metric, as `train/acc`, `val/loss`, ...
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe | None,
        total_steps: int,
        seed: int,
        about: dict[str, Any],
        log_every_n_steps: int | None = None,
    ):
        super().__init__()
        self.network, self.recipe, self.total_steps = network, recipe, total_steps
        self.seed, self.log_every_n_steps = seed, log_every_n_steps
        self.about = {**about, "stopped_early": False}
        self.means: dict[str, float] = {}
        self.sums: dict[str, Tensor] = {}
        self.items = {"train": 0, "val": 0, "test": 0}

    def __setattr__(self, name: str, value: Any) -> None:
        """Spare a tiny network a tenth of its step.

        Lightning notes the name of the running hook forty times a step, and nn.Module would look through all
        parameters, buffers and modules each time.
        """
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Dropout is drawn from (seed, step): a continued run draws what the unbroken one would have drawn."""
        number = mix(self.seed, self.global_step)
        torch.default_generator.manual_seed(number)  # torch.manual_seed takes a millisecond: it looks at every device
        if self.device.type == "cuda":
            torch.cuda.manual_seed(number)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The loss of one batch; Lightning does the rest of the step."""
        loss = self.add("train", batch)
        step = self.global_step + 1
        end = batch_idx + 1 == self.trainer.num_training_batches or step == self.total_steps
        if end or (self.log_every_n_steps and step % self.log_every_n_steps == 0):
            self.finish("train", step)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """One batch of the validation set."""
        self.add("val", batch)

    def on_validation_epoch_end(self) -> None:
        """Tell Lightning too, whose early stopping looks there."""
        self.log_dict(self.finish("val", self.global_step), logger=False)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """One batch of the test set."""
        self.add("test", batch)

    def on_test_epoch_end(self) -> None:
        """Tell Lightning, which hands it to the caller."""
        self.log_dict(self.finish("test", self.global_step))

    def add(self, part: str, batch: Any) -> Tensor:
        """The loss of one batch. Metrics are summed here and logged once per epoch: a log call is dear."""
        metrics = self.network.loss(batch)
        items = len(batch[0])
        for name, value in metrics.items():
            key = f"{part}/{name}"
            total = value.detach().float() * items  # a sum in bf16 would soon stand still
            self.sums[key] = self.sums[key] + total if key in self.sums else total
        self.items[part] += items
        return metrics["loss"]

    def finish(self, part: str, step: int) -> dict[str, float]:
        """The means of this part since it began; they go to the loggers, and the sums start afresh."""
        keys = [key for key in self.sums if key.startswith(part + "/")]
        means = {key: float(self.sums.pop(key)) / self.items[part] for key in keys}
        self.items[part] = 0
        self.means |= means
        for logger in self.loggers:  # there are none while testing
            logger.log_metrics({**means, "epoch": step / self.trainer.num_training_batches}, step)
        return means

    def configure_optimizers(self) -> Any:
        """The recipe's optimizer, its learning rate set anew at each step."""
        optimizer = self.recipe.build(self.network.parameters())
        if self.recipe.constant:
            return optimizer
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self.recipe.factor(step, self.total_steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What is needed to build the network again, to continue, and to know how good it is."""
        checkpoint["zoo"] = {**self.about, "metrics": dict(self.means)}
        checkpoint["running_sums"] = {"sums": dict(self.sums), "items": dict(self.items)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The means of the epoch that was last, and the sums of the one that had begun."""
        self.means = dict(checkpoint["zoo"]["metrics"])
        self.sums = {key: value.to(self.device) for key, value in checkpoint["running_sums"]["sums"].items()}
        self.items = dict(checkpoint["running_sums"]["items"])


class ZooData(pl.LightningDataModule):
    """Serves a data set's splits to the Trainer; the training order follows from the seed and the step."""

    def __init__(self, data: DataSet, seed: int):
        super().__init__()
        self.data, self.seed = data, seed

    def train_dataloader(self) -> Batches:
        """Shuffled anew in each pass."""
        data = self.data
        return Batches(data.train, data.batch_size, self.seed, data.repeat, lambda: self.trainer.global_step)

    def val_dataloader(self) -> Batches:
        """In order; larger batches, which change no mean, go faster."""
        return Batches(self.data.val, max(self.data.batch_size, EVALUATION_BATCH))

    def test_dataloader(self) -> Batches:
        """In order."""
        return Batches(self.data.test, max(self.data.batch_size, EVALUATION_BATCH))


EVALUATION_BATCH = 500
