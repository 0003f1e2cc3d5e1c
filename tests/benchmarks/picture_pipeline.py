"""Our pictures beside torchvision's ImageFolder: `python tests/benchmarks/picture_pipeline.py` (nothing else running).

Training pictures of cifar10-images.zip (ZOO_DATA_DIR says where it lies) per second, cut out of the padded picture,
mirrored and standardised, from the second epoch on; nothing is trained. The reference reads the unpacked files through
a DataLoader with two workers, which start anew in each epoch, or once. Epochs take turns, and the medians are compared.
"""

import json
import statistics
import tempfile
import time
import zipfile
from collections.abc import Iterable
from typing import Any

import torch

from zoo.torchvision_operators import declare_missing_operators

declare_missing_operators()

from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from zoo.data.dataset import data_root
from zoo.registry import build

EPOCHS, BATCH = 5, 128


def reference(folder: str, persistent: bool) -> DataLoader:
    """As everybody writes it."""
    steps = [
        transforms.RandomCrop(32, padding=4, padding_mode="reflect"),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
    ]
    files = ImageFolder(f"{folder}/cifar10-images/train", transforms.Compose(steps))
    return DataLoader(files, BATCH, shuffle=True, num_workers=2, persistent_workers=persistent)


def rate(loader: Iterable[Any]) -> float:
    """Pictures per second over one epoch."""
    started, count = time.perf_counter(), 0
    for images, _ in loader:
        count += len(images)
    return count / (time.perf_counter() - started)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(data_root(None) / "cifar10-images.zip") as archive:
            archive.extractall(folder)
        started = time.perf_counter()
        data = build("data", "cifar10", {"batch_size": BATCH, "cache": f"{folder}/cache"})
        data.load()
        loading = time.perf_counter() - started
        epoch = iter(range(10_000))
        loaders = {
            "image_folder": reference(folder, persistent=False),
            "image_folder_persistent": reference(folder, persistent=True),
            "ours": data.batches("train", 0, lambda: next(epoch) * -(-45_000 // BATCH)),
        }
        rates: dict[str, list[float]] = {name: [] for name in loaders}
        for turn in range(EPOCHS + 1):
            for name, loader in loaders.items():
                value = rate(loader)
                if turn:  # from the second epoch on
                    rates[name].append(value)
    median = {name: round(statistics.median(values)) for name, values in rates.items()}
    ratios = {f"times_{name}": round(median["ours"] / median[name], 1) for name in list(loaders)[:2]}
    print(json.dumps(median | ratios | {"decoding_seconds": round(loading, 1), "threads": torch.get_num_threads()}))
