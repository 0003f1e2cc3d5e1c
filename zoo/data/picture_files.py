"""Pictures in a folder, or straight from a .zip, with one folder per class: found, split, read, decoded by Pillow."""

import hashlib
import io
import math
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from zoo.data.grey_pictures import permuted
from zoo.errors import DataError
from zoo.handwriting import written

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test"}  # folder, in any case: split
PARTS |= dict.fromkeys(("val", "valid", "validation"), "val")
LONGEST = 4  # times as long as wide
ENOUGH = 800  # pixels of the longer side of a picture in which a digit is looked for
LARGEST = 1 << 28  # bytes of a picture's file


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
            names = files_below(root) if root.is_dir() else self.archive().namelist()
        except (OSError, zipfile.BadZipFile) as error:
            reason = getattr(error, "strerror", None) or "it is neither a folder nor a .zip"
            raise DataError(
                f"cannot read pictures from {getattr(error, 'filename', None) or root}: {reason}"
            ) from error
        self.names = sorted(name for name in names if name.lower().endswith(ENDINGS) and not hidden(name))
        if not self.names:
            raise DataError(f"{root} holds no pictures ({', '.join(ENDINGS)})")

    def __getstate__(self) -> dict[str, Any]:
        """Another process opens the .zip for itself."""
        return self.__dict__ | {"archives": {}}

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
            if (size := self.archive().getinfo(name).file_size) > LARGEST:
                raise Unreadable(f"it unpacks to {size:,} bytes")
            return self.archive().read(name)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            raise Unreadable(getattr(error, "strerror", None) or str(error)) from error

    def fingerprint(self, names: Sequence[str]) -> str:
        """Tells the contents of these files apart, without reading them: names, sizes, and CRC-32 or time of change."""
        digest = hashlib.sha256()
        for name in names:
            if not self.root.is_dir():
                member = self.archive().getinfo(name)
                about = (member.file_size, member.CRC)
            else:
                try:
                    stat = (self.root / name).stat()
                    about = (stat.st_size, stat.st_mtime_ns)
                except OSError:  # such as a link that leads nowhere: reading it will say so
                    about = (0, 0)
            digest.update(os.fsencode(name) + repr(about).encode())
        return digest.hexdigest()


def files_below(root: Path) -> list[str]:
    """The names of all files below a folder, relative to it; links are followed, each folder once. Raises OSError."""

    def fail(error: OSError) -> None:
        raise error

    names, seen = [], set()
    for folder, below, files in os.walk(root, followlinks=True, onerror=fail):
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back
            below.clear()
            continue
        seen.add(real)
        names += [os.path.relpath(os.path.join(folder, file), root).replace(os.sep, "/") for file in files]
    return names


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
    out of the training pictures, first the fraction `test` of each class, then the fraction `validation` of what is
    left of it; always the same pictures.
    Raises DataError where there are fewer than two classes, or too few pictures for the split.
    """
    paths = [name.split("/") for name in files.names]
    while len({path[0] for path in paths}) == 1 and min(map(len, paths)) > 2 and paths[0][0].lower() not in PARTS:
        paths = [path[1:] for path in paths]  # one folder around all of it
    folders = {path[0]: PARTS.get(path[0].lower()) for path in paths}
    if "train" in folders.values():
        if other := [folder for folder, part in folders.items() if part is None]:
            raise DataError(
                f"{files.root} has {other[0]} beside the folders of a split; is it a class, or no part of it?"
            )
        paths = [[PARTS[path[0].lower()], *path[1:]] for path in paths]
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
    for part, fraction in (("test", test), ("val", validation)):
        if not parts[part].names:
            parts["train"], parts[part] = set_aside(parts["train"], fraction)
    for part, labelled in parts.items():
        if not labelled.names:
            raise DataError(f"{files.root}: {len(files.names)} pictures are too few, {part} would have none")
    return classes, parts


def set_aside(pictures: Labelled, fraction: float) -> tuple[Labelled, Labelled]:
    """What is left, and the fraction that is taken of each class."""
    taken = drawn_fraction(torch.tensor(pictures.targets), fraction).tolist()
    pairs = list(zip(*pictures, taken, strict=True))
    left, aside = (
        Labelled([name for name, _, t in pairs if t == wanted], [label for _, label, t in pairs if t == wanted])
        for wanted in (False, True)
    )
    return left, aside


def drawn_fraction(targets: Tensor, fraction: float) -> Tensor:
    """Marks (N,) of that fraction of each class's items: drawn once, so that they are the same in every run."""
    marks = torch.zeros(len(targets), dtype=torch.bool)
    generator = torch.Generator().manual_seed(0)
    for label in targets.unique():
        rows = (targets == label).nonzero()[:, 0]
        marks[rows[torch.randperm(len(rows), generator=generator)[: round(fraction * len(rows))]]] = True
    return marks


def decode(raw: bytes, contrast: bool = False) -> "Image":
    """A picture in RGB as `plain` makes it. Raises Unreadable for what is none or is damaged."""
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(raw))
        if image.width * image.height > (Image.MAX_IMAGE_PIXELS or math.inf):
            raise Unreadable(f"{image.width}x{image.height} pixels are too many")
        return plain(image, contrast)
    except Unreadable:
        raise
    except UnidentifiedImageError as error:
        raise Unreadable("it is no picture") from error
    except Exception as error:  # on damaged files Pillow's readers raise anything: OSError, SyntaxError, ...
        raise Unreadable(str(error).splitlines()[0] if str(error) else type(error).__name__) from error


def plain(image: "Image", contrast: bool = False) -> "Image":
    """A picture in RGB, upright, transparent parts on white.

    contrast: on black where what can be seen is light: white ink on nothing would be gone.
    Of one more than four times as long as wide the middle: more is never seen, and might take gigabytes when enlarged.
    """
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255
        image = Image.fromarray((np.asarray(image) // 257).clip(0, 255).astype(np.uint8))
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        paper = "black" if contrast and is_light(image) else "white"
        image = Image.alpha_composite(Image.new("RGBA", image.size, paper), image)
    longest = LONGEST * min(image.size)
    if max(image.size) > longest:
        image = ImageOps.fit(image, (min(image.width, longest), min(image.height, longest)))
    return image.convert("RGB")


def is_light(image: "Image") -> bool:
    """Whether what can be seen of a picture in RGBA is nearer to white than to black."""
    grey, opacity = (np.asarray(channel, dtype=np.float64) for channel in (image.convert("L"), image.getchannel(3)))
    return (grey * opacity).sum() > 127.5 * opacity.sum()


def squared(image: "Image", size: int) -> "Image":
    """The middle of a picture: its shorter side made `size`, what is longer cut off at both ends."""
    from PIL import Image, ImageOps

    return image if image.size == (size, size) else ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)


def read_picture(path: str | Path, transform: dict[str, Any]) -> Tensor:
    """A picture file as a network takes it (C, s, s) float32, made as `DataSet.transform` says. Raises DataError."""
    try:
        return picture_input(decode(Path(path).read_bytes(), "writing" in transform), transform)
    except (OSError, Unreadable, ValueError) as error:
        raise DataError(f"cannot read picture {path}: {getattr(error, 'strerror', None) or error}") from error


def picture_input(image: "Image", transform: dict[str, Any]) -> Tensor:
    """A picture of Pillow's as a network takes it (C, s, s) float32.

    Its middle square is made `size` wide, or cut out of one that is `resize` wide. What is written by hand is found and
    placed as zoo/handwriting.py does it. Raises ValueError for a blank one.
    """
    size = transform["size"]
    if "writing" in transform:
        grey = clearest(image)
        grey.thumbnail((ENOUGH, ENOUGH))  # of a photograph of many megapixels the rest would only cost time
        ink = written(torch.from_numpy(np.array(grey))[None], size, transform["writing"])
        return scaled(ink, transform)[0]
    image = squared(image.convert("L" if transform["channels"] == 1 else "RGB"), transform.get("resize", size))
    edge = (image.width - size) // 2
    image = image.crop((edge, edge, edge + size, edge + size))
    pixels = torch.from_numpy(np.array(image, dtype=np.float32) / 255).view(size, size, -1)
    return scaled(pixels, transform).contiguous()


def clearest(image: "Image") -> "Image":
    """A picture in grey; where its colours are equally bright, the channel in which they differ most."""
    grey = image.convert("L")
    if image.mode != "RGB":
        return grey
    best = max(image.split(), key=lambda channel: np.asarray(channel).std())
    return best if np.asarray(grey).std() < np.asarray(best).std() / 4 else grey


def scaled(pixels: Tensor, transform: dict[str, Any]) -> Tensor:
    """Values in [0, 1] -> standardised: grey ones (N, s, s) to (N, 1, s, s), else (s, s, C) to (C, s, s)."""
    if "writing" in transform:
        return permuted(pixels.sub_(transform["mean"]).div_(transform["std"])[..., None].movedim(-1, 1), transform)
    mean, std = (torch.tensor(transform[key]) for key in ("mean", "std"))
    return ((pixels - mean) / std).movedim(2, 0)
