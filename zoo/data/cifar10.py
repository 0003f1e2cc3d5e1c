"""CIFAR-10: 60,000 coloured pictures of 32x32 in ten classes, the official split; part of the training set validates.

Source: Krizhevsky, Learning multiple layers of features from tiny images, 2009, https://www.cs.toronto.edu/~kriz; no
licence is stated. Read by torchvision.datasets.CIFAR10, or from the same pictures as JPEG files in a .zip.
"""

from pathlib import Path

import torch
from torch import Tensor

from zoo.data.fetch import File, fetch, unpacked
from zoo.data.held_pictures import hold
from zoo.data.picture_files import PictureFiles, drawn_fraction
from zoo.data.pictures import Pictures
from zoo.errors import DataError
from zoo.registry import register

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
ARCHIVE = File(
    "cifar-10-python.tar.gz", "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce", 170_498_071
)
UNPACKED = "cifar-10-batches-py"
AS_JPEG = "cifar10-images.zip"  # cifar10-images/{train,test}/CLASS/NNNN.jpg; compressed anew, so not the same bytes
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


@register("cifar10", group="data")
class CIFAR10(Pictures):
    """Items: (3, 32, 32) float32; labels 0..9 int64 in the order of the alphabet.

    root: folder with cifar-10-python.tar.gz or cifar10-images.zip, of which the first is fetched where neither is
        there; None: ZOO_DATA_DIR, else data/cache.
    validation: how many training pictures are set aside, as many of each class, 10 to 49,990.
    crop: centre | padded (by 4 pixels, then 32x32 cut out anew in each pass).
    flip: whether half of the training pictures are mirrored.
    lighting: deviation of the shift along the principal colours (AlexNet's paper: 0.1); 0: none.
    one_class: such as cat: label 1 for this class, 0 for as many of the nine others (Cyprus U28); null: ten classes.
    cache: folder for the decoded JPEG files.
    """

    licence = "not stated by its authors"

    def __init__(
        self,
        batch_size: int = 128,
        root: str | None = None,
        validation: int = 5000,
        crop: str = "padded",
        flip: bool = True,
        lighting: float = 0.0,
        one_class: str | None = None,
        cache: str = "runs/pictures",
    ):
        if one_class is not None and one_class not in CLASSES:
            raise ValueError(f"one_class must be one of {', '.join(CLASSES)}, or null, got {one_class!r}")
        if not 10 <= validation <= 49_990:
            raise ValueError(f"validation must lie in 10 .. 49990, got {validation}")
        classes = CLASSES if one_class is None else [f"no {one_class}", one_class]
        mean, std = [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]
        super().__init__(batch_size, root, 32, classes, mean, std, crop, flip, lighting)
        self.validation, self.one_class, self.cache = validation, one_class, Path(cache).expanduser()
        self.fingerprint = AS_JPEG if (self.root / AS_JPEG).exists() else ARCHIVE.name  # other bytes, in another order

    def load(self) -> None:
        """Read the pictures, fetching them where they are not there. Raises DataError, OutputError."""
        read = self.read_jpeg if self.fingerprint == AS_JPEG else self.read_archive
        (images, labels), self.test = read()
        aside = drawn_fraction(labels, self.validation / len(labels))
        self.train, self.val = (images[~aside], labels[~aside]), (images[aside], labels[aside])
        if self.one_class is not None:
            self.train, self.val, self.test = (
                one_against_the_rest(*part, CLASSES.index(self.one_class)) for part in (self.train, self.val, self.test)
            )

    def read_archive(self) -> list[tuple[Tensor, Tensor]]:
        """Training and test set of torchvision's files."""
        from zoo.torchvision_operators import declare_missing_operators

        declare_missing_operators()
        import torchvision  # a second to import: only when it is needed

        folder = unpacked(fetch(URL, self.root / ARCHIVE.name, ARCHIVE), self.root / UNPACKED)
        try:
            raw = [torchvision.datasets.CIFAR10(self.root, train) for train in (True, False)]
        except (RuntimeError, OSError) as error:  # it looks at the MD5 of each file before it unpickles it
            raise DataError(f"{folder} is damaged; delete it to have it unpacked again") from error
        return [(torch.from_numpy(part.data), torch.tensor(part.targets)) for part in raw]

    def read_jpeg(self) -> list[tuple[Tensor, Tensor]]:
        """Training and test set of the .zip."""
        files = PictureFiles(self.root / AS_JPEG)
        images, damaged = hold(files, files.names, 32, "cifar10", self.cache)
        if damaged or len(images) != 60_000:
            raise DataError(f"{files.root} does not hold the 60,000 pictures: {len(images):,} can be read")
        paths = [tuple(name.split("/")[-3:-1]) for name in files.names]
        if strange := set(paths) - {(part, label) for part in ("train", "test") for label in CLASSES}:
            raise DataError(f"{files.root} has pictures in {'/'.join(min(strange))}, which is no class of CIFAR-10")
        labels = torch.tensor([CLASSES.index(label) for _, label in paths])
        training = torch.tensor([part == "train" for part, _ in paths])
        return [(images[rows], labels[rows]) for rows in (training, ~training)]


def one_against_the_rest(images: Tensor, labels: Tensor, label: int) -> tuple[Tensor, Tensor]:
    """The pictures of one class, labelled 1, and the first of the other nine, evenly, as many in all, labelled 0."""
    own = (labels == label).nonzero()[:, 0]
    others = [rows for other in labels.unique() if other != label for rows in [(labels == other).nonzero()[:, 0]]]
    # The i-th of each class in turn: evenly however many are wanted.
    turns = torch.cat([torch.stack([torch.arange(len(rows)), rows]) for rows in others], 1)  # (2, N)
    rest = turns[1, turns[0].argsort(stable=True)][: len(own)]
    rows = torch.cat([own, rest])
    return images[rows], (torch.arange(len(rows)) < len(own)).long()
