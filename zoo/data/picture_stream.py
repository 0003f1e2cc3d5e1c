"""Large pictures, read from their files as they are needed: workers decode, cut and mirror them.

The order is drawn as for tensors (zoo/data/dataset.py), and what is done to item i in pass p from (seed, p, i), so
neither the number of workers nor a stop in mid-epoch changes anything.
"""

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from zoo.data.dataset import ALONE, Passes, Share, Split, mix
from zoo.data.picture_files import Labelled, PictureFiles, Unreadable, decode
from zoo.errors import DataError

Key = tuple[int, int]  # pass, and number of the picture


def training_transform(size: int, crop: str, flip: bool) -> Any:
    """From a picture of Pillow's to bytes (3, size, size): a torchvision transform that draws from torch's generator.

    crop: centre | random, a window of the middle square, which is made 8/7 as large (AlexNet's paper: 224 of 256) |
        resized, a window of 8 % to all of the picture's area, stretched (Szegedy et al. 2015).
    """
    v2 = transforms()
    large = size * 8 // 7
    cut = {
        "centre": [v2.Resize(large), v2.CenterCrop(size)],
        "random": [v2.Resize(large), v2.CenterCrop(large), v2.RandomCrop(size)],
        "resized": [v2.RandomResizedCrop(size)],
    }[crop]
    return v2.Compose([*cut, *[v2.RandomHorizontalFlip()] * flip, v2.PILToTensor()])


def evaluation_transform(size: int, views: int) -> Any:
    """The centre, bytes (3, size, size); of ten views, (10, 3, size, size), the corners of the middle square too.

    The views are the four corners, the centre (number 4), and all of these mirrored.
    """
    v2 = transforms()
    large = size * 8 // 7
    cut = [v2.CenterCrop(size)] if views == 1 else [v2.CenterCrop(large), v2.TenCrop(size)]
    return v2.Compose([v2.Resize(large), *cut, v2.PILToTensor()])


def transforms() -> Any:
    """torchvision.transforms.v2, which takes a second to import."""
    from zoo.torchvision_operators import declare_missing_operators

    declare_missing_operators()
    from torchvision.transforms import v2

    return v2


class Reading(NamedTuple):
    """A batch as a worker hands it over."""

    images: Tensor  # (n, [views,] s, s, 3) uint8
    labels: Tensor  # (n,) int64
    rows: Tensor  # (n,) int64
    number: int  # of the pass
    damaged: dict[str, str]


class Reader(Dataset):
    """The pictures of one split, each from its file when it is asked for.

    make_transform: gives the transform, in whatever process reads. seed: of what it draws; None: it draws nothing.
    """

    def __init__(self, files: PictureFiles, pictures: Labelled, make_transform: Callable[[], Any], seed: int | None):
        self.files, self.pictures, self.make_transform, self.seed = files, pictures, make_transform, seed
        self.transform = make_transform()

    def __reduce__(self) -> Any:
        """Where workers are not forked, torchvision has to be imported there, which takes care (`transforms`)."""
        return Reader, (self.files, self.pictures, self.make_transform, self.seed)

    def __getitem__(self, key: Key) -> tuple[Tensor, int, Key, dict[str, str]]:
        """Bytes ([views,] s, s, 3), label, the key again, and why other files could not be read.

        In place of a damaged picture stands the next that is not. Raises DataError where there is none.
        """
        number, row = key
        damaged = {}
        for i in range(row, row + len(self.pictures.names)):
            name = self.pictures.names[i % len(self.pictures.names)]
            try:
                image = decode(self.files.read(name))
            except Unreadable as error:
                damaged[name] = str(error)
                continue
            views = self.transformed(image, number, row)
            views = torch.stack(views) if isinstance(views, tuple) else views
            return views.movedim(-3, -1), self.pictures.targets[i % len(self.pictures.names)], key, damaged
        raise DataError(f"{self.files.root}: no picture can be read, such as {name} ({damaged[name]})")

    def transformed(self, image: Any, number: int, row: int) -> Any:
        """The transform's bytes; what it draws follows from the key, and the process's own draws are not touched."""
        if self.seed is None:
            return self.transform(image)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(mix(mix(self.seed, number), row))  # and no GPU's
            return self.transform(image)


def collate(items: list[tuple[Tensor, int, Key, dict[str, str]]]) -> Reading:
    """One batch of what `Reader` gives."""
    images, labels, keys, damaged = zip(*items, strict=True)
    rows = torch.tensor([row for _, row in keys])
    return Reading(
        torch.stack(images), torch.tensor(labels), rows, keys[0][0], {k: v for part in damaged for k, v in part.items()}
    )


class Stream(Passes):
    """Batches of one split, as `Batches` serves them of tensors, by workers that read ahead.

    damaged: files that could not be read, and why; shared by the splits, filled as they come up.
    """

    def __init__(
        self,
        reader: Reader,
        batch_size: int,
        step: Callable[[], int] | None,
        device: Any,
        served: Callable[[Split, Tensor, int], Split],
        num_workers: int,
        damaged: dict[str, str],
        share: Share = ALONE,
    ):
        self.reader, self.device, self.served, self.share, self.damaged = reader, device, served, share, damaged
        self.size = len(reader.pictures.names)
        self.batch_size = min(batch_size, self.size)
        super().__init__(-(-self.size // self.batch_size), 1, step)
        self.loader = DataLoader(
            reader,
            batch_sampler=Keys(self),
            num_workers=num_workers,
            collate_fn=collate,
            persistent_workers=num_workers > 0,
            generator=torch.Generator(),  # else it would draw the workers' seeds from the process's own
            pin_memory=torch.device(device or "cpu").type == "cuda",
        )

    def __iter__(self) -> Iterator[Split]:
        """The batches of the current epoch that are still to come. Raises DataError where none can be read any more."""
        coming = list(self.still_to_come())
        for (_, index), batch in zip(coming, self.readings(), strict=True):
            for name, reason in batch.damaged.items():
                if name not in self.damaged:
                    self.damaged[name] = reason
                    print(
                        f"damaged: {name} ({reason}), the next stands in; {len(self.damaged)} so far", file=sys.stderr
                    )
            own = len(range(self.size)[self.places(index)])  # 0 of a batch that is too small for all processes
            images, labels, rows = (t[:own].to(self.device, non_blocking=True) for t in batch[:3])
            yield self.served((images, labels), rows, batch.number)

    def readings(self) -> Iterator[Reading]:
        """What the workers read. Raises DataError, one line."""
        try:
            yield from self.loader
        except DataError as error:  # a worker's, with its traceback around it
            raise DataError(str(error).strip().splitlines()[-1].rpartition("DataError: ")[2]) from error

    def places(self, index: int) -> slice:
        """Where in the order of a pass this process's part of a batch stands."""
        start = index * self.batch_size
        return self.share(start, min(start + self.batch_size, self.size))


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Keys:
    """What the workers are to read: a list of keys per batch."""

    def __init__(self, stream: Stream):
        self.stream = stream

    def __len__(self) -> int:
        """Batches per epoch."""
        return len(self.stream)

    def __iter__(self) -> Iterator[list[Key]]:
        """Of the current epoch, what is still to come."""
        stream, order = self.stream, torch.arange(self.stream.size)
        order_of = -1
        for number, batch in stream.still_to_come():
            if stream.reader.seed is not None and number != order_of:
                generator = torch.Generator().manual_seed(mix(stream.reader.seed, number))
                order, order_of = torch.randperm(stream.size, generator=generator), number
            rows = order[stream.places(batch)]
            if not len(rows):  # a worker has to read something
                rows = order[batch * stream.batch_size :][:1]
            yield [(number, row) for row in rows.tolist()]
