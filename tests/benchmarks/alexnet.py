"""A training step of our AlexNet beside torchvision's: `python tests/benchmarks/alexnet.py` (nothing else running).

Pictures per second. Ours goes through zoo.fit, with its sums and its look at every loss; the reference is the loop that
everybody writes around torchvision.models.alexnet. Both have 61,100,840 parameters, the same pictures of 224x224 in the
same batches of 64, SGD with momentum and weight decay; they take turns, and the medians are compared.
"""

import gc
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from training_loop import ours

from zoo.config import Settings, compose_settings
from zoo.train import assemble

CLASSES, EACH, BATCH, TURNS = 8, 40, 64, 7


def write_pictures(folder: Path) -> None:
    """Noise, 320 pictures in eight classes."""
    draw = np.random.default_rng(0)
    for label in range(CLASSES):
        (folder / f"{label}").mkdir()
        for i in range(EACH):
            pixels = draw.integers(256, size=(224, 224, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{label}" / f"{i}.png")


def bare(settings: Settings) -> tuple[float, int]:
    """Seconds and steps."""
    import torchvision

    data, _, recipe, _ = assemble(settings)
    data.load()
    batches = [tuple(part.contiguous() for part in batch) for batch in data.batches("train", settings.seed)]
    network = torchvision.models.alexnet(num_classes=CLASSES)
    optimizer = recipe.build(network.parameters())
    started = time.perf_counter()
    for images, labels in batches:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
    return time.perf_counter() - started, len(batches)


if __name__ == "__main__":
    rates: dict[str, list[float]] = {"torchvision": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder))
        settings = compose_settings(
            ["model=alexnet", "data=image_folder", f"data.root={folder}", "data.held=true", "data.crop=centre",
             "data.flip=false", f"data.batch_size={BATCH}", f"data.cache={folder}/cache", "optimizer=sgd",
             "optimizer.lr=1e-3", "optimizer.momentum=0.9", "optimizer.weight_decay=1e-4", "trainer.max_epochs=1",
             "trainer.progress=false", "logger=csv"]
        )  # fmt: skip
        gc.collect()
        gc.freeze()
        for turn in range(TURNS + 1):
            for name, loop in (("torchvision", bare), ("ours", ours)):
                seconds, steps, *_ = loop(settings)
                if turn:  # the first turn warms up
                    rates[name].append(steps * BATCH / seconds)
    median = {name: statistics.median(values) for name, values in rates.items()}
    pairs = [round(a / b, 3) for a, b in zip(rates["ours"], rates["torchvision"], strict=True)]
    print(
        json.dumps(
            {f"{name}_pictures_per_second": round(value, 1) for name, value in median.items()}
            | {"ratio": round(statistics.median(pairs), 3), "pairs": pairs, "threads": torch.get_num_threads()}
        )
    )
