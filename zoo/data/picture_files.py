"""Pictures in a folder, or straight from a .zip, with one folder per class: found, split, read, decoded by Pillow."""

import hashlib
import io
import os
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from zoo.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
PARTS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}  # folder: split


class Unreadable(Exception):
    """A file that is no picture, or a damaged one."""


class PictureFiles:
    """All picture files below a folder or in a .zip, by their names relative to it, sorted; nothing is unpacked.

    root: the folder or file. Raises DataError where it cannot be read or holds no picture.
    """

    def __init__(self, root: Path):
        self.root = root
        self.archives: dict[int, zipfile.ZipFile] = {}  # one per process: they would share one place in the file
        try:
            if root.is_dir():
                found = (os.path.join(folder, file) for folder, _, files in os.walk(root) for file in files)
                names = [os.path.relpath(path, root).replace(os.sep, "/") for path in found]
            else:
                names = self.archive().namelist()
        except (OSError, zipfile.BadZipFile) as error:
            reason = getattr(error, "strerror", None) or "it is neither a folder nor a .zip"
            raise DataError(f"cannot read pictures from {root}: {reason}") from error
        self.names = sorted(name for name in names if name.lower().endswith(ENDINGS) and not hidden(name))
        if not self.names:
            raise DataError(f"{root} holds no pictures ({', '.join(ENDINGS)})")

    def archive(self) -> zipfile.ZipFile:
        """The .zip, as this process has opened it."""
        if os.getpid() not in self.archives:
            self.archives = {os.getpid(): zipfile.ZipFile(self.root)}
        return self.archives[os.getpid()]

    def read(self, name: str) -> bytes:
        """The bytes of one file, of a .zip checked by their CRC-32. Raises Unreadable."""
        try:
            if self.root.is_dir():
                return (self.root / name).read_bytes()
            return self.archive().read(name)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise Unreadable(getattr(error, "strerror", None) or str(error)) from error

    def fingerprint(self, names: Sequence[str]) -> str:
        """Tells the contents of these files apart, without reading them: names, sizes, and CRC-32 or time of change."""
        digest = hashlib.sha256()
        for name in names:
            if self.root.is_dir():
                about = (self.root / name).stat()
                digest.update(f"{name} {about.st_size} {about.st_mtime_ns}\n".encode())
            else:
                member = self.archive().getinfo(name)
                digest.update(f"{name} {member.file_size} {member.CRC}\n".encode())
        return digest.hexdigest()


def hidden(name: str) -> bool:
    """Whether it is what systems leave beside files, such as `__MACOSX/` and `._cat.jpg`."""
    return any(part.startswith((".", "__MACOSX")) for part in name.split("/"))


class Labelled(NamedTuple):
    """The names of a split's pictures, and the number of each one's class."""

    names: list[str]
    targets: list[int]


def split(files: PictureFiles, validation: float, test: float) -> tuple[list[str], dict[str, Labelled]]:
    """The classes, sorted, and the pictures of `train`, `val` and `test`.

    Folders of these names are taken as they are (`val` alone serves as the test set); what is missing is set aside
    out of the rest: the shares `validation` and `test` of each class, always the same pictures.
    Raises DataError where there are fewer than two classes, or too few pictures for the split.
    """
    paths = [name.split("/") for name in files.names]
    while len({path[0] for path in paths}) == 1 and min(map(len, paths)) > 2 and paths[0][0] not in PARTS:
        paths = [path[1:] for path in paths]  # one folder around all of it
    by_folder = {path[0] for path in paths} <= PARTS.keys() and any(path[0] == "train" for path in paths)
    if by_folder:
        paths = [[PARTS[path[0]], *path[1:]] for path in paths]
        if not any(path[0] == "test" for path in paths):
            paths = [["test" if path[0] == "val" else path[0], *path[1:]] for path in paths]
    else:
        paths = [["train", *path] for path in paths]
    for name, path in zip(files.names, paths, strict=True):
        if len(path) < 3:
            raise DataError(f"{files.root}: {name} lies in no class's folder; there must be one folder per class")
    classes = sorted({path[1] for path in paths if path[0] == "train"})
    if len(classes) < 2:
        raise DataError(f"{files.root} has the class {classes[0]} alone; two or more are needed")
    number = {name: i for i, name in enumerate(classes)}
    if strange := {path[1] for path in paths} - number.keys():
        raise DataError(f"{files.root}: the class {min(strange)} has no training pictures")
    parts = {part: Labelled([], []) for part in ("train", "val", "test")}
    for name, (part, label, *_) in zip(files.names, paths, strict=True):
        parts[part].names.append(name)
        parts[part].targets.append(number[label])
    for part, share in (("test", test), ("val", validation)):
        if not parts[part].names:
            parts["train"], parts[part] = set_aside(parts["train"], share)
    for part, labelled in parts.items():
        if not labelled.names:
            raise DataError(f"{files.root}: {len(files.names)} pictures are too few, {part} would have none")
    return classes, parts


def set_aside(pictures: Labelled, share: float) -> tuple[Labelled, Labelled]:
    """What is left, and the share that is taken of each class."""
    taken = drawn_share(torch.tensor(pictures.targets), share).tolist()
    pairs = list(zip(*pictures, taken, strict=True))
    left, aside = (
        Labelled([name for name, _, t in pairs if t == wanted], [label for _, label, t in pairs if t == wanted])
        for wanted in (False, True)
    )
    return left, aside


def drawn_share(targets: Tensor, share: float) -> Tensor:
    """Marks (N,) of that share of each class's items: drawn once, so that they are the same in every run."""
    marks = torch.zeros(len(targets), dtype=torch.bool)
    generator = torch.Generator().manual_seed(0)
    for label in targets.unique():
        rows = (targets == label).nonzero()[:, 0]
        marks[rows[torch.randperm(len(rows), generator=generator)[: round(share * len(rows))]]] = True
    return marks


def decode(raw: bytes) -> "Image":
    """A picture in RGB, upright, transparent parts on white. Raises Unreadable for what is none or is damaged."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # of 89 million pixels and more
            image = ImageOps.exif_transpose(Image.open(io.BytesIO(raw)))
            if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255
                image = Image.fromarray((np.asarray(image) // 257).clip(0, 255).astype(np.uint8))
            if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            return image.convert("RGB")
    except (
        Exception
    ) as error:  # Pillow's readers raise anything on damaged files: OSError, SyntaxError, ValueError, ...
        raise Unreadable(str(error).splitlines()[0] if str(error) else type(error).__name__) from error


def squared(image: "Image", size: int) -> "Image":
    """The middle of a picture: its shorter side made `size`, what is longer cut off at both ends."""
    from PIL import Image, ImageOps

    return image if image.size == (size, size) else ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)


def read_picture(path: str | Path, transform: dict[str, Any]) -> Tensor:
    """A picture file as a network takes it (C, s, s) float32, made as `DataSet.transform` says.

    Its middle square is made `size` wide, or cut out of one that is `resize` wide. Raises DataError.
    """
    try:
        image = decode(Path(path).read_bytes())
    except (OSError, Unreadable) as error:
        raise DataError(f"cannot read picture {path}: {getattr(error, 'strerror', None) or error}") from error
    size = transform["size"]
    image = squared(image.convert("L" if transform["channels"] == 1 else "RGB"), transform.get("resize", size))
    edge = (image.width - size) // 2
    image = image.crop((edge, edge, edge + size, edge + size))
    pixels = torch.from_numpy(np.array(image, dtype=np.float32) / 255).view(size, size, -1)
    mean, std = (torch.tensor(transform[key]) for key in ("mean", "std"))
    return ((pixels - mean) / std).movedim(2, 0).contiguous()
