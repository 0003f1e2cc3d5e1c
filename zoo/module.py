"""The one LightningModule and the one LightningDataModule: they carry any network and any data set of the zoo."""

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from zoo.data.dataset import DataSet, mix
from zoo.optimizers import Recipe
from zoo.phases import Plan
from zoo.processes import share, total


class ZooModule(pl.LightningModule):
    """Steps, means of the metrics per epoch, and the optimizer around a network's `loss(batch)`.

    plan: which step belongs to which phase, for the schedule of the learning rate; None for testing only.
    about: what the checkpoint says of the network, in plain values.
    log_every_n_steps: how many steps one training mean is over; None: the steps of an epoch.
    carries_state: whether the network's `loss` takes the state that the batch before has left, and gives the next.
    channels_last: whether pictures and kernels lie in memory with the channels of a pixel side by side.
    compiled: whether `loss` is compiled by torch; the names of the weights stay as they are.
    means: the latest mean per item of every metric, as `train/acc`, `val/loss`, ...

    Of several processes each has its share of every batch. Its loss counts as much as the share has items, so that
    the mean of all gradients is that of the whole batch; the means of metrics are over the items of all.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe | None,
        plan: Plan | None,
        seed: int,
        about: dict[str, Any],
        log_every_n_steps: int | None = None,
        carries_state: bool = False,
        channels_last: bool = False,
        compiled: bool = False,
    ):
        super().__init__()
        self.channels_last = channels_last
        self.network = network.to(memory_format=torch.channels_last) if channels_last else network
        self.network_loss = torch.compile(network.loss) if compiled else network.loss
        self.recipe, self.plan = recipe, plan
        self.share = share()
        self.seed, self.log_every_n_steps = seed, log_every_n_steps
        self.carries_state = carries_state
        self.states: dict[str, tuple[Tensor, ...]] = {}  # of `train`, `val`, `test`, in the midst of a pass
        self.about = {**about, "stopped_early": False}
        self.means: dict[str, float] = {}
        self.sums: dict[str, Tensor] = {}
        self.items: dict[str, int | Tensor] = {"train": 0, "val": 0, "test": 0}

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
        if self.share.rank:
            number = mix(number, self.share.rank)  # each process has other items, and drops others of their features
        torch.default_generator.manual_seed(number)  # torch.manual_seed takes a millisecond: it looks at every device
        if self.device.type == "cuda":
            torch.cuda.manual_seed(number)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The loss of one batch; Lightning does the rest of the step."""
        loss = self.add("train", batch)
        step = self.global_step + 1
        if self.carries_state and step % self.trainer.train_dataloader.per_pass == 0:
            del self.states["train"]  # the next pass begins elsewhere
        end = batch_idx + 1 == self.trainer.num_training_batches or step == self.plan.total_steps
        if end or (self.log_every_n_steps and step % self.log_every_n_steps == 0):
            self.finish("train", step)
        return loss

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Nothing for a network that has changed its weights itself, in `update`; the optimizer then does nothing."""
        if loss.requires_grad:
            super().backward(loss, *args, **kwargs)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """One batch of the validation set."""
        self.add("val", batch)

    def on_validation_epoch_end(self) -> None:
        """Tell Lightning too, whose early stopping looks there."""
        data = self.trainer.datamodule.data
        found = data.probe(self.network) if data.probes_while_training else {}
        self.log_dict(self.finish("val", self.global_step, found), logger=False)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """One batch of the test set."""
        self.add("test", batch)

    def on_test_epoch_end(self) -> None:
        """Tell Lightning, which hands it to the caller."""
        self.log_dict(self.finish("test", self.global_step))

    def add(self, part: str, batch: Any) -> Tensor:
        """The loss of one batch. Metrics are summed here and logged once per epoch: a log call is dear.

        A network that has `update(batch, lr)` learns by that instead of by `loss`, its gradient and the optimizer, of
        which it takes the learning rate only; it gives the same metrics.

        Besides its metrics a network's `loss` may give `state`, to be carried along, and `items`, the number (int or
        tensor) that the metrics are means over; by default that of targets, of which a text has one per character.
        """
        empty = self.share.processes > 1 and len(batch[-1]) == 0
        if empty:
            batch = self.blank()
        if self.channels_last:
            batch = tuple(x.to(memory_format=torch.channels_last) if x.ndim == 4 else x for x in batch)
        if part == "train" and hasattr(self.network, "update"):
            metrics = self.network.update(batch, self.trainer.optimizers[0].param_groups[0]["lr"])
        elif self.carries_state:
            metrics = self.network_loss(batch, self.states.get(part))
            self.states[part] = metrics["state"]
        else:
            metrics = self.network_loss(batch)
        metrics.pop("state", None)
        items = metrics.pop("items", None)
        if items is None:
            items = batch[-1].numel()
        if empty:
            items = 0
        for name, value in metrics.items():
            key = f"{part}/{name}"
            summed = value.detach().float() * items  # a sum in bf16 would soon stand still
            self.sums[key] = self.sums[key] + summed if key in self.sums else summed
        self.items[part] = self.items[part] + items  # a tensor stays where it is: nothing waits for the GPU
        return self.weighted(metrics["loss"], items) if part == "train" else metrics["loss"]

    def weighted(self, loss: Tensor, items: int | Tensor) -> Tensor:
        """A loss times what makes the mean over all processes that over all items; as it is where there is but one."""
        if self.share.processes == 1:
            return loss
        mine = torch.as_tensor(items, dtype=torch.float64, device=loss.device)
        return loss * (mine * self.share.processes / total(mine.clone())).to(loss.dtype)

    def blank(self) -> Any:
        """Items for a process whose share of a batch is empty: it takes part, with a loss that counts nothing."""
        items = self.trainer.precision_plugin.convert_input(self.trainer.datamodule.data.example_batch())
        return tuple(part.to(self.device) for part in items)

    def finish(self, part: str, step: int, found: dict[str, float] | None = None) -> dict[str, float]:
        """The means of this part since it began, and what else was found; the sums start afresh.

        They go to the loggers.
        """
        sums, items = self.totals(part)
        means = {key: value / max(1, items) for key, value in sums.items()}
        for key in sums:
            del self.sums[key]
        means |= {f"{part}/{name}": float(value) for name, value in (found or {}).items()}
        self.items[part] = 0
        self.means |= means
        if part != "train":
            self.states.pop(part, None)
        for logger in self.loggers:  # there are none while testing
            place = {"epoch": step / self.trainer.num_training_batches}
            if len(self.plan.phases) > 1:
                place["phase"] = self.plan.number(step - 1) + 1
            logger.log_metrics(means | place, step)
        return means

    def totals(self, part: str) -> tuple[dict[str, float], int]:
        """The sums of this part's metrics and the number of their items since it began, over all processes."""
        sums = {key: float(value) for key, value in self.sums.items() if key.startswith(part + "/")}
        items = int(self.items[part])
        if self.share.processes > 1:
            *values, items = total(torch.tensor([*sums.values(), items], dtype=torch.float64)).tolist()
            sums = dict(zip(sums, values, strict=True))
        return sums, int(items)

    def configure_optimizers(self) -> Any:
        """The recipe's optimizer, its learning rate set anew at each step."""
        optimizer = self.recipe.build(self.network.parameters())
        if self.recipe.constant:
            return optimizer
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self.plan.factor(self.recipe, step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What is needed to build the network again, to continue, and to know how good it is."""
        checkpoint["zoo"] = {**self.about, "metrics": dict(self.means)}
        running: dict[str, Any] = {"sums": {}, "items": {}}
        for part in self.items:
            sums, running["items"][part] = self.totals(part)
            running["sums"] |= {key: torch.tensor(value) for key, value in sums.items()}
        checkpoint["running_sums"] = running
        checkpoint["carried_state"] = self.states.get("train")

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The means of the epoch that was last, and the sums of the one that had begun."""
        device = self.trainer.strategy.root_device  # the network itself is moved there only later
        self.means = dict(checkpoint["zoo"]["metrics"])
        running, takes = checkpoint["running_sums"], self.share.rank == 0  # those of all processes, taken up by one
        self.sums = {key: value.to(device) * takes for key, value in running["sums"].items()}
        self.items = {part: int(running["items"][part]) * takes for part in self.items}
        if checkpoint["carried_state"] is not None:
            self.states["train"] = tuple(part.to(device) for part in checkpoint["carried_state"])


class ZooData(pl.LightningDataModule):
    """Serves a data set's splits to the Trainer; the training order follows from the seed and the step.

    plan: its phases may see some of the training items only.
    """

    def __init__(self, data: DataSet, seed: int, plan: Plan | None = None):
        super().__init__()
        self.data, self.seed, self.plan = data, seed, plan

    def train_dataloader(self) -> Any:
        """In an order that is drawn anew in each pass."""
        some: dict[str, Any] = {"rows": self.rows} if any(phase.rows for phase in self.plan.phases) else {}
        some |= self.shares
        return self.data.batches("train", self.seed, lambda: self.trainer.global_step, self.device, **some)

    def rows(self, step: int) -> torch.Tensor | None:
        """The numbers of the training items that the phase of this step sees; None: all."""
        phase = self.plan.phases[self.plan.number(step)]
        return phase.rows(self.data.train[-1], self.seed) if phase.rows else None

    def val_dataloader(self) -> Any:
        """In order."""
        return self.data.batches("val", device=self.device, **self.shares)

    def test_dataloader(self) -> Any:
        """In order."""
        return self.data.batches("test", device=self.device, **self.shares)

    @property
    def shares(self) -> dict[str, Any]:
        """What tells `batches` the part of this process; nothing where it is alone: not every data set can be split."""
        mine = share()
        return {"share": mine} if mine.processes > 1 else {}

    @property
    def device(self) -> torch.device:
        """Where the network is: the whole set is put there once, and a batch costs no transfer."""
        return self.trainer.strategy.root_device
