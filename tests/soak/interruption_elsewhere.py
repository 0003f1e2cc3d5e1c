"""Part A in Lightning as it comes: what a kill, a signal and a full disk do to its checkpoints."""

import contextlib
import itertools
import logging
import random
import shutil
import signal
import tempfile
import time
import warnings
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.cloud_io import _atomic_save
from lightning.pytorch.callbacks import ModelCheckpoint

from soak.children import Child, until
from soak.interruption import OTHER_DEVICE, mount_small_disk, temporary_folder
from soak.row import Row

LIMIT = 60.0  # seconds
KILLS, SIGNALS = 20, 3


def others() -> list[Row]:
    """Lightning alone."""
    folder, elsewhere = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp(dir=OTHER_DEVICE))
    try:
        return [
            killed_in_a_save("TMPDIR on the same device", folder / "same", folder),
            killed_in_a_save("TMPDIR on another device", folder / "other", elsewhere),
            terminated(folder),
            full_disk(folder, elsewhere),
        ]
    finally:
        shutil.rmtree(folder)
        shutil.rmtree(elsewhere)


def readable(path: Path) -> bool:
    """Whether torch reads the checkpoint."""
    try:
        torch.load(path, weights_only=True)
    except Exception:
        return False
    return True


def killed_in_a_save(where: str, folder: Path, temporary: Path) -> Row:
    """A2: a checkpoint of 40 MB written over itself for ever by Lightning's own function, and killed."""
    folder.mkdir()
    dice, path, whole = random.Random(0), folder / "last.ckpt", 0

    def save_for_ever() -> None:
        temporary_folder(temporary)
        for version in itertools.count():
            _atomic_save({"ballast": torch.full((10_000_000,), version)}, path)
            (folder / "saves").open("a").write(f"{time.monotonic()}\n")

    def saves() -> list[float]:
        return [float(line) for line in (folder / "saves").read_text().split()]

    for number in range(KILLS):
        (folder / "saves").write_text("")
        with Child(save_for_ever, folder, f"saving_{number}") as child:
            until(lambda: len(saves()) >= 2, LIMIT, "no second save")
            first, second = saves()[:2]
            time.sleep(dice.uniform(0.5, 2.5) * (second - first))
            child.send(signal.SIGKILL)
            child.wait(LIMIT)
        whole += readable(path)
    return Row("A2", f"Lightning, {where}", whole, KILLS, f"{KILLS - whole} checkpoints cannot be read any more")


class Slow(pl.LightningModule):
    """A step takes a hundredth of a second, and the first leaves a file; `ballast` numbers of weights."""

    def __init__(self, ballast: int = 1):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(ballast))

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        Path("began").touch()
        time.sleep(0.01)
        return (self.weight[0] * batch).square().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def fit(module: Slow, folder: Path, epochs: int) -> None:
    """Epochs of twenty steps, each kept in last.ckpt."""
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    keep = ModelCheckpoint(folder, save_last=True, save_top_k=0)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=epochs, logger=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[keep],
    )  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(torch.ones(20, 1), batch_size=1))


def terminated(folder: Path) -> Row:
    """A4: whether SIGTERM in the first epoch leaves a checkpoint, and an exit code that says so."""
    right, codes = 0, []
    for number in range(SIGNALS):
        place = folder / f"terminated_{number}"
        place.mkdir()
        with Child(lambda place=place: fit(Slow(), place, 1000), place) as child:
            until((place / "began").exists, LIMIT, "no step")
            child.send(signal.SIGTERM)
            child.wait(LIMIT)
        codes.append(child.code)
        right += child.code == 128 + signal.SIGTERM and readable(place / "last.ckpt")
    return Row("A4", "Lightning, SIGTERM", right, SIGNALS, f"exit codes {sorted(set(codes))}; nothing is saved")


def full_disk(folder: Path, elsewhere: Path) -> Row:
    """A6: whether the checkpoint of the first epoch can be read after the second found no room."""
    place, report = folder / "disk", folder / "report"

    def fill() -> None:
        temporary_folder(elsewhere)
        if not mount_small_disk(place, 16 << 20):
            report.write_text("forbidden")
            return
        fit(Slow(2_000_000), place, 1)  # 8 MB
        room = shutil.disk_usage(place).free
        (place / "filler").write_bytes(bytes(room - (2 << 20)))
        with contextlib.suppress(Exception):
            fit(Slow(2_000_000), place, 1)
        names = [path.name for path in place.glob("last*.ckpt") if not readable(path)]
        report.write_text(f"{len(names)}")

    with Child(fill, folder, "filling") as child:
        child.wait(LIMIT)
    found, who = report.read_text(), "Lightning, TMPDIR on another device"
    if found == "forbidden":
        return Row("A6", who, 0, 0, "left out: no file system may be mounted here")
    return Row("A6", who, int(found == "0"), 1, f"{found} checkpoint cannot be read any more")
