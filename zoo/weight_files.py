"""Weights to give away: a .safetensors file with the network's card in its header, and nothing in it that could run.

Any reader of safetensors opens it. The header's `zoo` is JSON: which network it is, how its items are made, and the
rest of its card. Its `sha256` is that of the whole file, taken with zeros in place of these 64 digits. Large weights
may be stored in 16 bits, or in 8 with one scale for each row:

    w = q * scale,  q in -127 .. 127,  scale = max |w| of the row / 127      (`NAME` is int8, `NAME.scale` float32)

Format 1. A reader refuses what a newer zoo has written in another format.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo.errors import CheckpointError, short

FORMAT = 1
STORES = ("float32", "float16", "int8")
SCALE = ".scale"
FEW = 1024  # numbers of a weight that stay float32: biases, and what is small anyway
HEADER = 8  # bytes that say how long the header is
SEAL = re.compile(rb'"sha256":"([0-9a-f]{64})"')  # in the header; within the card quotes have a backslash before
LONGEST = 16 << 20  # bytes of a header: a vocabulary of a million words
SIGNS = {  # how files of other kinds begin
    b"PK\x03\x04": "a .zip archive",
    b"\x80": "a pickle, which could run code",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "a gzip file",
    b"%PDF": "a PDF",
    b"<": "a page of HTML or XML",
    b"{": "JSON",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself",
}


def what_it_is(raw: bytes) -> str:
    """What a file is, by how it begins."""
    if not raw:
        return "it is empty"
    for sign, name in SIGNS.items():
        if raw.startswith(sign):
            return f"it is {name}"
    return f"it begins with {raw[:8]!r}"


def packed(network: nn.Module, card: dict[str, Any], store: str = "float32") -> bytes:
    """The bytes of a file with the network's weights and its card.

    card: plain values, with `model`, `arguments` and `transform`.
    store: float32 | float16 | int8, for weights of a thousand numbers and more.
    """
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    shared: dict[str, str] = {}  # a weight of two names is stored once
    places: dict[tuple[int, tuple[int, ...]], str] = {}
    for name, weight in network.state_dict().items():
        weight = weight.detach().cpu().contiguous()
        first = places.setdefault((weight.data_ptr(), tuple(weight.shape)), name) if weight.numel() else name
        if first != name:
            shared[name] = first
        elif not weight.is_floating_point() or weight.numel() < FEW or store == "float32":
            tensors[name] = weight
        elif store == "float16":
            tensors[name] = weight.half()
        else:
            tensors[name], tensors[name + SCALE] = in_eight_bits(weight)
    about = {**card, "format": FORMAT, "store": store, "shared": shared}
    return sealed(save(tensors, {"format": "pt", "zoo": json.dumps(about), "sha256": "0" * 64}))


def sealed(raw: bytes) -> bytes:
    """The file with its SHA-256 in its header."""
    return SEAL.sub(b'"sha256":"%s"' % seal_of(raw).encode(), raw, count=1)


def seal_of(raw: bytes) -> str:
    """The SHA-256 that belongs into the header of a file."""
    return hashlib.sha256(SEAL.sub(b'"sha256":"%s"' % (b"0" * 64), raw, count=1)).hexdigest()


def in_eight_bits(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A weight (N, ...) as whole numbers of the same shape, int8, and a scale (N,) float32."""
    scale = weight.flatten(1).abs().amax(1) / 127 if weight.dim() > 1 else weight.abs().amax().view(1) / 127
    scale = scale.clamp(min=1e-30)
    return (weight / by_row(scale, weight)).round().to(torch.int8), scale.float()


def by_row(scale: Tensor, weight: Tensor) -> Tensor:
    """A scale (N,) in a shape that multiplies the rows of a weight (N, ...)."""
    return scale.view(-1, *[1] * (weight.dim() - 1))


def unpacked(raw: bytes, source: str, trusted: bool = False) -> dict[str, Any]:
    """`zoo`, the card, and `state_dict`, the weights in float32, of such a file's bytes; source: what errors call it.

    trusted: whether their SHA-256 is known from elsewhere, and that in the header may be missing.
    Raises CheckpointError for everything else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    about = read_card(raw, source)
    check_seal(raw, source, trusted)
    try:
        tensors = load(raw)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        raise CheckpointError(f"{source} is damaged: {str(error).splitlines()[0]}") from error
    check_weights(tensors, source)
    weights: dict[str, Tensor] = {}
    for name, weight in tensors.items():
        if name.endswith(SCALE) and name.removesuffix(SCALE) in tensors:
            continue
        scale = tensors.get(name + SCALE)
        if scale is not None and (scale.dim() != 1 or len(scale) not in (1, *weight.shape[:1])):
            raise CheckpointError(f"{source} is damaged: {name!r} has a scale {tuple(scale.shape)}")
        if scale is not None:
            weight = weight.float() * by_row(scale, weight)
        weights[name] = weight.float() if weight.is_floating_point() else weight
    shared = about.get("shared")
    for name, first in shared.items() if isinstance(shared, dict) else ():
        if not isinstance(first, str) or first not in weights:
            raise CheckpointError(f"{source} is damaged: it lacks {first!r}, which {name!r} shares")
        weights[name] = weights[first]
    return {"zoo": about, "state_dict": weights}


def check_seal(raw: bytes, source: str, trusted: bool) -> None:
    """Raises CheckpointError for a file that is not, to the last bit, what was written."""
    seal = SEAL.search(raw, 0, HEADER + int.from_bytes(raw[:HEADER], "little"))
    if seal is None and not trusted:
        raise CheckpointError(f"{source} has no SHA-256 in its header: damage could not be told; publish it anew")
    if seal is not None and seal[1].decode() != seal_of(raw):
        raise CheckpointError(f"{source} is damaged: its SHA-256 is not the one it was written with")


def check_weights(weights: dict[Any, Any], source: str | Path) -> None:
    """Raises CheckpointError for what is no dense tensor of real numbers that the file itself holds."""
    for name, value in weights.items():
        good = isinstance(name, str) and isinstance(value, Tensor) and value.layout == torch.strided
        if not good or value.device.type != "cpu" or value.is_complex() or value.is_quantized:
            raise CheckpointError(f"{source} holds something other than a dense tensor as weight {name!r}")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise CheckpointError(f"{source} claims {value.numel():,} numbers for {name!r}, which it does not hold")


def numbers_in(weights: dict[str, Tensor]) -> int:
    """How many numbers the weights hold, those in one place counted once."""
    places = {
        w.untyped_storage().data_ptr(): w.untyped_storage().nbytes() // w.element_size() for w in weights.values()
    }
    return sum(places.values())


def read_card(raw: bytes, source: str) -> dict[str, Any]:
    """The card in the header of a file's bytes. Raises CheckpointError."""
    length = int.from_bytes(raw[:HEADER], "little")
    if len(raw) <= HEADER or raw[HEADER : HEADER + 1] != b"{":
        raise CheckpointError(f"{source} is no .safetensors file: {what_it_is(raw)}")
    if length > min(LONGEST, len(raw) - HEADER):
        raise CheckpointError(f"{source} is cut short or damaged: it declares a header of {length:,} bytes")
    try:
        about = json.loads(json.loads(raw[HEADER : HEADER + length])["__metadata__"]["zoo"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{source} has no card of the zoo in its header; it was not written by it") from error
    if not isinstance(about, dict) or not isinstance(about.get("format"), int):
        raise CheckpointError(f"{source} does not say in which format it is; not a file of the zoo")
    check_format(about, source)
    if not isinstance(about.get("model"), str) or not isinstance(about.get("arguments"), dict):
        raise CheckpointError(f"{source} does not say which network it holds")
    return about


def check_format(about: dict[str, Any], source: str) -> None:
    """Raises CheckpointError for what a newer zoo has written in another format; where none is said it is the first."""
    if about.get("format", 1) not in range(1, FORMAT + 1):
        raise CheckpointError(
            f"{source} is in format {short(about['format'])}, written by a newer zoo ({short(about.get('version'))}); "
            f"this one reads up to {FORMAT}: install a newer lecture-zoo"
        )


def read_card_of(path: Path) -> dict[str, Any]:
    """The card of a file, without its weights. Raises CheckpointError."""
    try:
        with open(path, "rb") as file:
            raw = file.read(HEADER)
            raw += file.read(min(LONGEST, int.from_bytes(raw, "little")))
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    return read_card(raw, str(path))
