"""Things as a person has them -> the inputs of a trained network, made as its training items were made.

Which kind of thing a network takes says its `transform`, which every data set has and every checkpoint carries.
"""

import gzip
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.errors import DataError

KINDS = {
    "image": "pictures: their paths, pictures of Pillow's, or arrays (h, w) or (h, w, 3) uint8",
    "numbers": "lists of numbers",
    "symbols": "texts of symbols",
    "words": "texts",
}
FEW = 200  # pictures of a folder that are decoded together
MNIST_FORMAT = re.compile(r"idx\d-ubyte(\.gz)?$")  # how names of such files end
LARGEST_SIDE = 2048  # pixels of the pictures that a network may ask for
LARGEST = 1 << 30  # bytes of pictures in one file


def ready(items: Sequence[Any] | Tensor, transform: dict[str, Any]) -> tuple[Tensor, ...]:
    """The inputs, each with first dimension N, of N things.

    items: by the transform's kind: pictures (paths, pictures of Pillow's, arrays (h, w[, 3]) uint8, or all of them in
        one array (N, h, w[, 3])); numbers in the units of the data set; texts of symbols; texts of words.
    Raises DataError for what cannot be read or is of another kind.
    """
    kind = transform.get("kind")
    if kind not in KINDS:
        raise DataError(
            f"the network does not say what its items were (kind {kind!r}); call it as a function, on tensors, or take "
            f"one of zoo.load that was trained on pictures, numbers, symbols or words"
        )
    if kind == "image":
        return (images(items, transform),)
    if kind == "numbers":
        return (numbers(items, transform),)
    if kind == "symbols":
        return (torch.stack([symbols(item, transform) for item in items]),)
    from zoo.data.words import encode

    if wrong := [item for item in items if not isinstance(item, str) or not item.strip()]:
        raise DataError(f"the network takes texts that hold something, got {wrong[0]!r}")
    return encode(items, transform)


def check_transform(transform: dict[str, Any]) -> None:
    """Whether a transform, perhaps of somebody's file, says all that its kind needs; other kinds are let pass.

    Raises ValueError, KeyError, TypeError.
    """

    def require(holds: bool, key: str) -> None:
        if not holds:
            raise ValueError(f"{key} {transform.get(key)!r}")

    kind = transform.get("kind")
    require(kind is None or isinstance(kind, str), "kind")
    classes = transform.get("classes")
    require(classes is None or isinstance(classes, list) and all(isinstance(name, str) for name in classes), "classes")
    if kind == "image":
        size, channels, writing = transform["size"], transform["channels"], transform.get("writing")
        require(isinstance(size, int) and 1 <= size <= LARGEST_SIDE, "size")
        require(channels in (1, 3), "channels")
        require(transform.get("resize", size) in range(size, 2 * LARGEST_SIDE), "resize")
        for key in ("mean", "std"):
            require(torch.tensor(transform[key], dtype=torch.float32).numel() in (1, channels), key)
        if writing is not None:
            require(writing["box"] in range(1, size + 1) and writing["centre"] in ("mass", "box"), "writing")
            require(writing.get("resolution", 1) in range(1, size + 1), "writing")
        if "permutation" in transform:
            order = transform["permutation"]
            require(all(isinstance(pixel, int) for pixel in order), "permutation")
            require(writing is not None and sorted(order) == list(range(size**2)), "permutation")
    elif kind == "numbers":
        require(len(transform["features"]) == torch.tensor(transform["scale"], dtype=torch.float32).numel(), "scale")
    elif kind == "symbols":
        require(isinstance(transform["vocabulary"], str) and transform["blank"] in transform["vocabulary"], "blank")
        require(transform["length"] in range(1, LARGEST_SIDE**2), "length")


def images(items: Sequence[Any] | Tensor, transform: dict[str, Any]) -> Tensor:
    """Pictures (N, C, s, s) float32; in memory the channels of a pixel lie side by side: convolutions go faster so."""
    from zoo.data.picture_files import scaled
    from zoo.handwriting import written

    array = isinstance(items, Tensor) or hasattr(items, "__array_interface__")
    if array and "writing" in transform and items.ndim == 3:
        grey = as_bytes(items)
        try:
            return scaled(written(grey, transform["size"], transform["writing"]), transform)
        except ValueError as error:
            raise DataError(f"one of the {len(items):,} pictures cannot be read: {error}") from error
    return torch.stack([image(item, transform).movedim(0, -1) for item in items]).movedim(-1, 1)


def image(item: Any, transform: dict[str, Any]) -> Tensor:
    """One picture (C, s, s) float32, of whatever it is given as."""
    from PIL import Image

    from zoo.data.picture_files import picture_input, plain, read_picture

    if isinstance(item, (str, Path)):
        return read_picture(item, transform)
    if isinstance(item, Tensor) or hasattr(item, "__array_interface__") and not isinstance(item, Image.Image):
        pixels = as_bytes(item)
        if pixels.ndim not in (2, 3) or pixels.ndim == 3 and pixels.shape[2] != 3:
            raise DataError(f"a picture must be an array (h, w) or (h, w, 3), got {tuple(pixels.shape)}")
        item = Image.fromarray(pixels.numpy())
    if not isinstance(item, Image.Image):
        raise DataError(
            f"the network takes {KINDS['image']}, one here and several in predict_all; got {type(item).__name__}"
        )
    try:
        return picture_input(plain(item, "writing" in transform), transform)
    except ValueError as error:
        raise DataError(f"cannot read the picture: {error}") from error


def as_bytes(array: Any) -> Tensor:
    """An array of uint8 as a tensor on the CPU. Raises DataError for other numbers: 1 may be white, or nearly black."""
    try:
        tensor = torch.as_tensor(
            array if isinstance(array, Tensor) else np.require(array, requirements=["C", "W"])
        ).cpu()
    except (TypeError, ValueError) as error:
        raise DataError(f"pictures must be uint8, 0 to 255: {str(error).splitlines()[0]}") from error
    if tensor.numel() == 0:
        raise DataError(f"a picture must have pixels, got an array {tuple(tensor.shape)}")
    if tensor.dtype != torch.uint8:
        raise DataError(
            f"pictures must be uint8, 0 to 255, got {str(tensor.dtype).removeprefix('torch.')}; a tensor that is "
            f"standardised already goes into the network itself: net(x)"
        )
    return tensor


def numbers(items: Sequence[Any] | Tensor, transform: dict[str, Any]) -> Tensor:
    """Rows (N, D) float32 of numbers in the units of the data set, scaled as it was."""
    names = ", ".join(transform["features"])
    items = [as_typed(item) for item in items]
    for item in items:
        try:
            row = torch.as_tensor(item, dtype=torch.float32)
        except (TypeError, ValueError, RuntimeError) as error:
            raise DataError(f"the network takes {len(transform['scale'])} numbers ({names}), got {item!r}") from error
        if row.shape != (len(transform["scale"]),) or not row.isfinite().all():
            raise DataError(f"the network takes {len(transform['scale'])} numbers ({names}), got {item!r}")
    rows = torch.stack([torch.as_tensor(item, dtype=torch.float32) for item in items])
    return rows / torch.tensor(transform["scale"])


def as_typed(item: Any) -> Any:
    """`4,5` as a person writes it -> [4.0, 5.0]; anything else as it is."""
    if isinstance(item, str):
        try:
            return [float(part) for part in item.replace(",", " ").split()]
        except ValueError:
            return item
    return item


def symbols(item: Any, transform: dict[str, Any]) -> Tensor:
    """Numbers (length,) int64 of symbols, one each; white space is skipped, blanks fill up the beginning."""
    vocabulary, length = transform["vocabulary"], transform["length"]
    text = "".join(item.split()) if isinstance(item, str) else None
    if not text or not set(text) <= set(vocabulary) or len(text) > length:
        raise DataError(f"the network takes 1 to {length} of the symbols {vocabulary}, got {item!r}")
    return torch.tensor([vocabulary.index(symbol) for symbol in text.rjust(length, transform["blank"])])


# --- files of pictures --------------------------------------------------------------------------------------------


def found_in(path: str, transform: dict[str, Any]) -> Iterator[tuple[list[str], Any]]:
    """The pictures in what a path means, part by part: their names, and what `ready` takes.

    path: a picture; a folder or .zip of them; MNIST's own format, perhaps packed (.gz); an array of NumPy's (.npy).
    What cannot be read comes as a name and a DataError. Raises DataError for a path that holds no pictures at all.
    """
    file = Path(path)
    if file.suffix == ".npy" or MNIST_FORMAT.search(file.name):
        array = read_array(file)
        yield [f"{path}[{i}]" for i in range(len(array))], array
    elif file.is_dir() or file.suffix == ".zip":
        yield from found_below(file, "writing" in transform)
    else:
        yield [path], [path]


def found_below(folder: Path, contrast: bool) -> Iterator[tuple[list[str], Any]]:
    """The pictures of a folder or .zip, some at a time: never all of them are in memory."""
    from zoo.data.picture_files import PictureFiles, Unreadable, decode

    files = PictureFiles(folder)
    for start in range(0, len(files.names), FEW):
        names, pictures = [], []
        for name in files.names[start : start + FEW]:
            try:
                pictures.append(decode(files.read(name), contrast))
                names.append(f"{folder}/{name}")
            except Unreadable as error:
                yield [f"{folder}/{name}"], DataError(f"cannot read picture {folder}/{name}: {error}")
        yield names, pictures


def read_array(path: Path) -> Tensor:
    """Pictures (N, h, w) or (N, h, w, 3) uint8 of a file of NumPy's or of MNIST's format. Raises DataError."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as stream:
            shape = npy_shape(stream) if path.suffix == ".npy" else idx_shape(stream)
            size = math.prod(shape)
            if not 0 < size <= LARGEST or len(shape) not in (3, 4) or len(shape) == 4 and shape[3] != 3:
                raise ValueError(f"it must hold pictures (N, h, w) or (N, h, w, 3), got {shape}")
            raw = bytearray(size)
            if stream.readinto(raw) != size or stream.read(1):
                raise ValueError(f"it does not hold the {size:,} bytes that its head declares")
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    return torch.frombuffer(raw, dtype=torch.uint8).view(shape)


def idx_shape(stream: Any) -> tuple[int, ...]:
    """What the head of a file in MNIST's format declares. Raises ValueError."""
    head = stream.read(4)
    if len(head) < 4 or head[:3] != b"\0\0\x08":
        raise ValueError("its head is not that of bytes in MNIST's format")
    return tuple(int.from_bytes(stream.read(4), "big") for _ in range(head[3]))


def npy_shape(stream: Any) -> tuple[int, ...]:
    """What the head of an array of NumPy's declares. Raises ValueError."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, by_columns, dtype = read(stream)
    if dtype != np.uint8 or by_columns:
        raise ValueError(f"its numbers must be uint8, row by row, got {dtype}")
    return shape
