"""Part E elsewhere: what plain Lightning does with a NaN, another way to start, and two processes."""

import logging
import math
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from test_processes import torchrun
from torch.utils.data import DataLoader, TensorDataset

from soak.children import Child
from soak.frame import must
from soak.row import Row
from soak.runs import LIMIT
from zoo.workers import free_port


def others() -> list[Row]:
    """Plain Lightning, with a network and a data set as small as ours."""
    folder = Path(tempfile.mkdtemp())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        try:
            return [nan_in_lightning(folder), order_in_lightning(folder), two_in_lightning(folder)]
        finally:
            shutil.rmtree(folder)


class Plain(pl.LightningModule):
    """What everybody writes: a linear network, its loss, Adam. spoil: where a NaN comes at step 5."""

    def __init__(self, spoil: str = ""):
        super().__init__()
        torch.manual_seed(0)
        self.spoil, self.network = spoil, torch.nn.Linear(4, 1)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        if self.spoil == "in a parameter" and self.global_step == 5:
            torch.nn.init.constant_(self.network.weight, math.nan)
        loss = self.network(batch[0]).square().mean()
        return loss * math.nan if self.spoil == "in a loss" and self.global_step == 5 else loss

    def on_after_backward(self) -> None:
        if self.spoil == "in a gradient" and self.global_step == 5:
            self.network.weight.grad.fill_(math.nan)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        loss = self.network(batch[0]).square().mean()
        self.log("val/loss", loss * math.nan if self.spoil == "in validation" else loss)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.01)


def plain(folder: Path, module: Plain, shuffle: bool = False, workers: int = 0, **options: Any) -> pl.Trainer:
    """Three epochs of ten steps, of four items each in one process; its checkpoint is `folder/last.ckpt`."""
    items = TensorDataset(torch.randn(40, 4, generator=torch.Generator().manual_seed(0)))
    size = 4 // options.get("devices", 1)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=3, logger=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[ModelCheckpoint(folder, save_last=True, save_top_k=0)], **options,
    )  # fmt: skip
    loader = DataLoader(items, size, shuffle=shuffle, num_workers=workers)
    trainer.fit(module, loader, DataLoader(items, size))
    return trainer


def nan_in_lightning(folder: Path) -> Row:
    """E4: whether the run stops, and no checkpoint holds it."""
    places, stopped, held = ("in a loss", "in a gradient", "in a parameter", "in validation"), 0, 0
    for place in places:
        try:
            plain(folder / place, Plain(place))
        except Exception:
            stopped += 1
        saved = torch.load(folder / place / "last.ckpt", weights_only=True)["state_dict"]
        held += not all(value.isfinite().all() for value in saved.values())
    return Row("E4", "Lightning", stopped, len(places), f"it trains to the end; {held} checkpoints hold the NaN")


def order_in_lightning(folder: Path) -> Row:
    """E1: the same weights under the same global seed, in order and shuffled, with 0 and 2 workers and a validation."""
    same, ways = 0, ({"workers": 2}, {"num_sanity_val_steps": 0}, {"limit_val_batches": 0}, {"val_check_interval": 5})
    for number, way in enumerate(({}, *ways)):
        pl.seed_everything(7, verbose=False)
        module = Plain()
        plain(folder / f"order_{number}", module, shuffle=True, **way)
        learnt = module.network.weight.detach().clone()
        if number == 0:
            first = learnt
        else:
            same += torch.equal(learnt, first)
    words = "the order of the items depends on what has drawn from the global generator before"
    return Row("E1", "Lightning", same, len(ways), words)


def two_in_lightning(folder: Path) -> Row:
    """E5: two processes with half of the batch each, beside one with all of it."""
    port = free_port()

    def train(rank: int) -> Callable[[], None]:
        def work() -> None:
            os.environ |= torchrun(rank, 2) | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            os.environ |= {"TORCHELASTIC_RUN_ID": "1", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0"}
            plain(folder / "two", Plain(), devices=2, strategy="ddp")

        return work

    alone = Plain()
    plain(folder / "alone", alone)
    with Child(train(0), folder, "rank_0") as one, Child(train(1), folder, "rank_1") as other:
        codes = [one.wait(LIMIT), other.wait(LIMIT)]
    must(codes == [0, 0], f"exit codes {codes}: {one.errors[-300:]}")
    saved = torch.load(folder / "two" / "last.ckpt", weights_only=True)["state_dict"]["network.weight"]
    apart = float((saved - alone.network.weight).abs().max())
    words = f"30 steps, weights {apart:.1e} apart: it shuffles by a sampler of its own, though shuffle=False"
    return Row("E5", "Lightning", int(apart <= 1e-6), 1, words)
