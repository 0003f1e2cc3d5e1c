"""Pictures of your own: a folder, or a .zip, with one folder per class, as torchvision's ImageFolder reads it.

pets/cat/1.jpg, pets/dog/2.png, ...                     split by fractions of each class
pets/train/cat/1.jpg, pets/val/..., pets/test/...       split as the folders say
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.data.dataset import ALONE, Share, Split
from zoo.data.held_pictures import hold
from zoo.data.picture_files import Labelled, PictureFiles, split
from zoo.data.picture_stream import Reader, Stream, collate, cores, evaluation_transform, training_transform
from zoo.data.pictures import Pictures
from zoo.errors import ConfigError
from zoo.registry import register

SMALL = 64  # pixels: up to here pictures are held in memory, unless one says otherwise
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # as torchvision's weights were trained
COLOURS_OF = 200  # pictures, for the principal colours


@register("image_folder", group="data")
class ImageFolder(Pictures):
    """Items: (3, image_size, image_size) float32; labels (N,) int64, the classes in the order of the alphabet.

    root: the folder or .zip, with one folder per class, perhaps below train/, val/ and test/.
    image_size: of the pictures that the network sees.
    validation, test: fractions of each class set aside where no folder is there, in (0, 1); first the test set's.
    crop: centre | padded, of pictures in memory: with an eighth added on each side | random: a window of the middle
        square, 8/7 as large | resized: a window of 8 % to all of the area, stretched; null: padded in memory, else
        resized.
    flip: whether half of the training pictures are mirrored.
    lighting: deviation of the shift along the principal colours (AlexNet's paper: 0.1); 0: none.
    views: 1, the centre, or 10, corners and centre and all of it mirrored: how a test picture is looked at.
    held: whether all pictures are decoded once and held in memory; null: up to 64 pixels.
    num_workers: processes that read what is not held, for each process that trains; null: its share of the cores, 0:
        none, it reads by itself.
    cache: folder for the decoded pictures.
    """

    def __init__(
        self,
        root: str,
        batch_size: int = 128,
        image_size: int = 224,
        validation: float = 0.1,
        test: float = 0.1,
        crop: str | None = None,
        flip: bool = True,
        lighting: float = 0.0,
        views: int = 1,
        held: bool | None = None,
        num_workers: int | None = None,
        cache: str = "runs/pictures",
    ):
        for name, value in (("validation", validation), ("test", test)):
            if not 0 < value < 1:
                raise ValueError(f"{name} must lie in (0, 1), got {value}")
        self.is_held = image_size <= SMALL if held is None else held
        if num_workers is not None and num_workers < 0:
            raise ValueError(f"num_workers must be >= 0 or null, got {num_workers}")
        if views not in (1, 10) or views == 10 and self.is_held:
            raise ValueError(f"views must be 1, or 10 where pictures are not held in memory, got {views}")
        self.crops = ("centre", "padded") if self.is_held else ("centre", "random", "resized")
        self.views, self.cache = views, Path(cache).expanduser()
        self.num_workers = num_workers
        self.files = PictureFiles(Path(root).expanduser())
        classes, self.parts = split(self.files, validation, test)
        mean, std = list(IMAGENET_MEAN), list(IMAGENET_STD)
        crop = self.crops[-1] if crop is None else crop
        super().__init__(batch_size, root, image_size, classes, mean, std, crop, flip, lighting)
        if not self.is_held:
            self.transform["resize"] = image_size * 8 // 7  # of which the centre is cut out
        # Of those that are not held there may be a million: their names alone, then.
        names = self.files.names
        self.fingerprint = self.files.fingerprint(names) if self.is_held else digest_of(names)
        self.damaged: dict[str, str] = {}  # of those that are not held, as they come up

    def load(self) -> None:
        """Decode what is to be held; what is not, is read as it is needed. Raises DataError, OutputError."""
        for part, pictures in self.parts.items():
            if self.is_held:
                setattr(self, part, self.held_part(part, pictures))
            else:
                setattr(self, part, (torch.arange(len(pictures.names)), torch.tensor(pictures.targets)))

    def held_part(self, part: str, pictures: Labelled) -> tuple[Tensor, Tensor]:
        """Bytes (N, s, s, 3) and labels (N,) of the pictures that can be read."""
        name = f"{self.files.root.resolve().stem}-{part}"
        found = hold(self.files, pictures.names, self.image_size, name, self.cache)
        pairs = zip(*pictures, strict=True)
        return found.images, torch.tensor([label for name, label in pairs if name not in found.damaged])

    def reader(self, part: str, seed: int | None = None) -> Reader:
        """The files of a split; of the training set, with a seed, cut anew in each pass."""
        if part == "train" and seed is not None:
            transform = partial(training_transform, self.image_size, self.crop, self.flip)
        else:
            transform = partial(evaluation_transform, self.image_size, self.views if part == "test" else 1)
        return Reader(self.files, self.parts[part], transform, seed)

    def batches(self, part: str, seed: int | None = None, step: Any = None, device: Any = None,
                rows: Any = None, share: Share = ALONE) -> Any:  # fmt: skip
        """As every data set does; read from the files where the pictures are not held."""
        if self.is_held:
            return super().batches(part, seed, step, device, rows, share)
        if rows is not None:
            raise ConfigError("a phase that sees some of the pictures only needs them in memory: data.held=true")
        size = max(share.processes, self.batch_size // self.views) if part == "test" else self.batch_size
        served = partial(self.served, part, seed)
        workers = self.num_workers
        if workers is None:
            workers = max(1, cores() // share.processes)
        return Stream(self.reader(part, seed), size, step, device, served, workers, self.damaged, share)

    def ready(self, part: str, rows: slice | Tensor = slice(None)) -> Split:
        """As every data set does; read from the files where the pictures are not held."""
        if self.is_held:
            return super().ready(part, rows)
        reader, chosen = self.reader(part), torch.arange(len(self.parts[part].names))[rows]
        with ThreadPoolExecutor(cores()) as pool:
            read = collate(list(pool.map(reader.__getitem__, [(0, row) for row in chosen.tolist()])))
        return self.scaled(read.images), read.labels

    def sample_bytes(self) -> Tensor:
        """Some training pictures."""
        if self.is_held:
            return super().sample_bytes()
        reader, every = self.reader("train"), max(1, len(self.train[0]) // COLOURS_OF)
        return collate([reader[0, row] for row in range(0, len(self.train[0]), every)]).images


def digest_of(names: list[str]) -> str:
    """Tells lists of names apart."""
    return hashlib.sha256(b"\0".join(os.fsencode(name) for name in names)).hexdigest()
