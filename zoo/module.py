"""The one LightningModule and the one LightningDataModule: they carry any network and any data set of the zoo."""

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from zoo.data.dataset import Batches, DataSet, mix
from zoo.optimizers import Recipe


class ZooModule(pl.LightningModule):
    """Steps, means of the metrics per epoch, and the optimizer around a network's `loss(batch)`.

    about: what the checkpoint says of the network, in plain values.
    total_steps: planned optimizer steps, for the schedule.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, total_steps: int, seed: int, about: dict[str, Any]):
        super().__init__()
        self.network, self.recipe, self.total_steps, self.seed, self.about = (
            network, recipe, total_steps, seed, about,
        )  # fmt: skip
        self.sums: dict[str, Tensor] = {}
        self.count = 0

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Dropout is drawn from (seed, step): a continued run draws what the unbroken one would have drawn."""
        torch.manual_seed(mix(self.seed, self.global_step))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """One step; Lightning does the rest."""
        return self.step(batch)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """One batch of validation."""
        self.step(batch)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """One batch of the test set."""
        self.step(batch)

    def step(self, batch: Any) -> Tensor:
        """The loss of one batch; its metrics are summed here and logged once per epoch, which costs least."""
        metrics = self.network.loss(batch)
        items = len(batch[0])
        for name, value in metrics.items():
            value = value.detach() * items
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.count += items
        return metrics["loss"]

    def log_means(self, part: str) -> None:
        """Log the mean per item of every metric as `part/name` and start afresh."""
        if self.count:
            self.log_dict({f"{part}/{name}": float(total) / self.count for name, total in self.sums.items()})
        self.sums, self.count = {}, 0

    def on_train_epoch_end(self) -> None:
        """Lightning validates inside the training epoch, so the sums of training were set aside until now."""
        self.log_means("train")

    def on_validation_start(self) -> None:
        """Set the sums of the training epoch aside."""
        self.aside = (self.sums, self.count)
        self.sums, self.count = {}, 0

    def on_validation_epoch_end(self) -> None:
        """Log the validation and take up the training epoch again."""
        self.log_means("val")
        self.sums, self.count = self.aside

    def on_test_epoch_end(self) -> None:
        """Log the test."""
        self.log_means("test")

    def configure_optimizers(self) -> Any:
        """The recipe's optimizer, its learning rate set anew at each step."""
        optimizer = self.recipe.build(self.network.parameters())
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self.recipe.factor(step, self.total_steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What is needed to build the network again."""
        checkpoint["zoo"] = self.about


class ZooData(pl.LightningDataModule):
    """Serves a data set's splits to the Trainer; the training order follows from the seed and the step."""

    def __init__(self, data: DataSet, seed: int):
        super().__init__()
        self.data, self.seed = data, seed

    def train_dataloader(self) -> Batches:
        """Shuffled anew each epoch."""
        return Batches(self.data.train, self.data.batch_size, self.seed, lambda: self.trainer.global_step)

    def val_dataloader(self) -> Batches:
        """In order."""
        return Batches(self.data.val, self.data.batch_size)

    def test_dataloader(self) -> Batches:
        """In order."""
        return Batches(self.data.test, self.data.batch_size)
