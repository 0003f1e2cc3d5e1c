"""Things as a person has them -> the inputs of a trained network, made as its training items were made.

Which kind of thing a network takes says its `transform`, which every data set has and every checkpoint carries.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.errors import DataError

KINDS = {
    "image": "pictures: their paths, pictures of Pillow's, or arrays (h, w) or (h, w, 3) uint8",
    "numbers": "lists of numbers",
    "symbols": "texts of symbols",
    "words": "texts",
}


MNIST_FORMAT = re.compile(r"idx\d-ubyte(\.gz)?$")  # how names of such files end
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
        raise DataError(f"the network takes {KINDS['image']}; got {type(item).__name__}")
    try:
        return picture_input(plain(item, "writing" in transform), transform)
    except ValueError as error:
        raise DataError(f"cannot read the picture: {error}") from error


def as_bytes(array: Any) -> Tensor:
    """An array of uint8 as a tensor on the CPU. Raises DataError for other numbers: 1 may be white, or nearly black."""
    tensor = torch.as_tensor(array).cpu()
    if tensor.dtype != torch.uint8:
        raise DataError(
            f"pictures must be uint8, 0 to 255, got {str(tensor.dtype).removeprefix('torch.')}; a tensor that is "
            f"standardised already goes into the network itself: net(x)"
        )
    return tensor


def numbers(items: Sequence[Any] | Tensor, transform: dict[str, Any]) -> Tensor:
    """Rows (N, D) float32 of numbers in the units of the data set, scaled as it was."""
    names = ", ".join(transform["features"])
    items = [split(item) for item in items]
    for item in items:
        try:
            row = torch.as_tensor(item, dtype=torch.float32)
        except (TypeError, ValueError, RuntimeError) as error:
            raise DataError(f"the network takes {len(transform['scale'])} numbers ({names}), got {item!r}") from error
        if row.shape != (len(transform["scale"]),) or not row.isfinite().all():
            raise DataError(f"the network takes {len(transform['scale'])} numbers ({names}), got {item!r}")
    rows = torch.stack([torch.as_tensor(item, dtype=torch.float32) for item in items])
    return rows / torch.tensor(transform["scale"])


def split(item: Any) -> Any:
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


def found_in(path: str, transform: dict[str, Any]) -> tuple[list[str], Any]:
    """The names of the pictures in what a path means, and the pictures: `ready` takes them.

    path: a picture; a folder or .zip of them; MNIST's own format, perhaps packed (.gz); an array of NumPy's (.npy).
    Raises DataError.
    """
    file = Path(path)
    if file.suffix == ".npy" or MNIST_FORMAT.search(file.name):
        array = read_array(file)
        return [f"{path}[{i}]" for i in range(len(array))], array
    if file.is_dir() or file.suffix == ".zip":
        from zoo.data.picture_files import PictureFiles, Unreadable, decode

        files = PictureFiles(file)
        pictures = []
        for name in files.names:
            try:
                pictures.append(decode(files.read(name), "writing" in transform))
            except Unreadable as error:
                raise DataError(f"cannot read picture {path}: {name}: {error}") from error
        return [f"{path}/{name}" for name in files.names], pictures
    return [path], [path]


def read_array(path: Path) -> Tensor:
    """Pictures (N, h, w) or (N, h, w, 3) uint8 of a file of NumPy's or of MNIST's format. Raises DataError."""
    import gzip
    import math
    import zlib

    import numpy as np

    try:
        if path.suffix == ".npy":
            array = np.load(path, allow_pickle=False)
        else:
            with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as stream:
                head = stream.read(4)
                shape = [int.from_bytes(stream.read(4), "big") for _ in range(head[3])] if len(head) == 4 else []
                size = math.prod(shape)
                if head[:3] != b"\0\0\x08" or not 0 < size <= LARGEST:
                    raise ValueError(f"its head declares no bytes, or more than {LARGEST:,}")
                raw = bytearray(size)
                if stream.readinto(raw) != size or stream.read(1):
                    raise ValueError(f"it does not hold the {size:,} bytes that its head declares")
            array = np.frombuffer(raw, dtype=np.uint8).reshape(shape)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    tensor = as_bytes(array)
    if tensor.ndim not in (3, 4):
        raise DataError(f"{path} must hold pictures (N, h, w) or (N, h, w, 3), got {tuple(tensor.shape)}")
    return tensor
