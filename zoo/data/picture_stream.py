"""Large pictures, read from their files as they are needed: workers decode, cut and mirror them.

The order is drawn as for tensors (zoo/data/dataset.py), and what is done to item i in pass p from (seed, p, i), so
neither the number of workers nor a stop in mid-epoch changes anything.
"""

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

    crop: centre | random, a window of the picture whose shorter side is made 8/7 of size (AlexNet's paper: 224 of 256)
        | resized, a window of 8 % to all of its area, stretched (Szegedy et al. 2015).
    """
    v2 = transforms()
    cut = {
        "centre": [v2.Resize(size * 8 // 7), v2.CenterCrop(size)],
        "random": [v2.Resize(size * 8 // 7), v2.RandomCrop(size)],
        "resized": [v2.RandomResizedCrop(size)],
    }[crop]
    return v2.Compose([*cut, *[v2.RandomHorizontalFlip()] * flip, v2.PILToTensor()])


def evaluation_transform(size: int, views: int) -> Any:
    """The centre, bytes (3, size, size); of ten views the corners too, and all of it mirrored, (10, 3, size, size)."""
    v2 = transforms()
    cut = v2.CenterCrop(size) if views == 1 else v2.TenCrop(size)
    return v2.Compose([v2.Resize(size * 8 // 7), cut, v2.PILToTensor()])


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
    """The pictures of one split, each from its file when it is asked for."""

    def __init__(self, files: PictureFiles, pictures: Labelled, transform: Any, seed: int | None):
        self.files, self.pictures, self.transform, self.seed = files, pictures, transform, seed

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
            cut = self.cut(image, number, row)
            views = torch.stack(cut) if isinstance(cut, tuple) else cut
            return views.movedim(-3, -1), self.pictures.targets[i % len(self.pictures.names)], key, damaged
        raise DataError(f"{self.files.root}: no picture can be read, such as {name} ({damaged[name]})")

    def cut(self, image: Any, number: int, row: int) -> Any:
        """The transform's bytes; what it draws follows from the key, and the process's own draws are not touched."""
        if self.seed is None:
            return self.transform(image)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mix(mix(self.seed, number), row))
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
        """The batches of the current epoch that are still to come."""
        for batch in self.loader:
            for name, reason in batch.damaged.items():
                if name not in self.damaged:
                    self.damaged[name] = reason
                    print(f"damaged, left out: {name} ({reason}); {len(self.damaged)} so far", file=sys.stderr)
            images, labels, rows = (t.to(self.device, non_blocking=True) for t in batch[:3])
            yield self.served((images, labels), rows, batch.number)


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
            start = batch * stream.batch_size
            end = min(start + stream.batch_size, stream.size)
            yield [(number, row) for row in order[stream.share(start, end)].tolist()]
