"""Checkpoint files that are whole or not there, carry a SHA-256, and never run code when read.

A file is torch's own zip archive; the SHA-256 of everything before it stands in the archive's comment, so one file
holds both and any torch reads it. Writing goes to a temporary file beside the target, is synced, and then renamed:
a kill or a full disk leaves the previous file as it was.
"""

import contextlib
import glob
import hashlib
import io
import os
import platform
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import torch
from torch import nn

from zoo.errors import CheckpointError, OutputError, short
from zoo.weight_files import check_format, check_weights, what_it_is

MARK = b"zoo-sha256="
LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."  # how files of torch began before 2020
COMMENT = len(MARK) + 64  # bytes of the archive's comment
ENTRY = b"PK\x01\x02"  # how each line of an archive's table of contents begins
MANY = 50_000  # entries: torch stores a tensor in each
DEEPEST = 50  # lists and dicts in one another


def write_checkpoint(content: dict[str, Any], path: str | Path) -> None:
    """Write `content` (tensors and plain values) to `path`, whole or not at all. Raises OutputError."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    archive = buffer.getbuffer()[:-2]  # without the length of the comment, which stands last and is 0
    digest = hashlib.sha256(archive).hexdigest().encode()
    write_whole(path, archive, COMMENT.to_bytes(2, "little") + MARK + digest)


def write_whole(path: str | Path, *parts: bytes | memoryview) -> None:
    """Write a file, whole. Raises OutputError and leaves the previous file."""
    with written_whole(Path(path)) as file:
        for piece in parts:
            file.write(piece)


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """A file to be written beside its final place, synced and renamed at the end. Raises OutputError, likewise.

    A link stays, and what it leads to is written. What is there and no file, such as a device, is left alone.
    """
    target = Path(os.path.realpath(path))
    machine = f"{zlib.crc32(platform.node().encode()):08x}"  # a folder may be shared by several
    part = target.with_name(f".{target.name}.{machine}.{os.getpid()}.part")
    try:
        if target.exists() and not target.is_file():
            raise OutputError(f"cannot write {path}: it is no file")
        target.parent.mkdir(parents=True, exist_ok=True)
        for left in target.parent.glob(f".{glob.escape(target.name)}.{machine}.*.part"):
            if not is_running(int(left.name.split(".")[-2])):  # it was killed while writing
                left.unlink(missing_ok=True)
        with open(part, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):  # it is gone when all went well
            part.unlink()


def is_running(pid: int) -> bool:
    """Whether a process of that number is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True


def read_checkpoint(source: str | Path) -> dict[str, Any]:
    """The content of a checkpoint file, or of a run's best, on the CPU; nothing in it is ever executed.

    Raises CheckpointError.
    """
    text = str(Path(source) / "checkpoints" / "best.ckpt" if os.path.isdir(source) else source)
    raw = read_file(Path(text))
    archive, tail = memoryview(raw)[: -COMMENT - 2], raw[-COMMENT:]  # a view: no copy of what may be gigabytes
    if len(raw) < COMMENT + 2 or not tail.startswith(MARK):
        kind = what_it_is(raw)
        raise CheckpointError(f"{text} is not a checkpoint of the zoo, or is cut short ({len(raw):,} bytes): {kind}")
    if hashlib.sha256(archive).hexdigest().encode() != tail[len(MARK) :]:
        raise CheckpointError(f"{text} is damaged: its SHA-256 is not the one it was written with")
    content = plain_content(raw, text)
    check_values(content, len(raw), text)
    about = content.get("zoo") if isinstance(content, dict) else None
    named = isinstance(about, dict) and isinstance(about.get("model"), str) and isinstance(about.get("arguments"), dict)
    weights = content.get("state_dict") if named else None
    if not isinstance(weights, dict):
        raise CheckpointError(f"{text} does not say which network it holds; not a checkpoint of the zoo")
    check_format(about, text)
    check_weights(weights, text)
    return content


def plain_content(raw: bytes, source: str) -> Any:
    """What torch has saved, as long as it is tensors and plain values. Raises CheckpointError."""
    if raw.count(ENTRY) > MANY:  # before a list of them takes ten times their room
        raise CheckpointError(f"{source} has more than {MANY:,} parts; not loaded")
    try:
        entries = [] if raw.startswith(LEGACY) else zipfile.ZipFile(io.BytesIO(raw)).infolist()
    except Exception as error:  # of damaged ones zipfile raises half a dozen kinds beside its own
        kind = f"not a checkpoint of the zoo, or is damaged or cut short ({len(raw):,} bytes)"
        raise CheckpointError(f"{source} is {kind}: {what_it_is(raw)}") from error
    packed = [entry.filename for entry in entries if entry.compress_type]
    if packed:  # torch stores; a small file that unpacks to gigabytes is nobody's checkpoint
        raise CheckpointError(f"{source} has compressed parts ({short(packed[0])}); not loaded")
    try:
        return torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except Exception as error:  # a hostile file may raise anything in the unpickler
        raise CheckpointError(f"{source} holds something other than tensors and plain values; not loaded") from error


def check_values(content: Any, most: int, source: str) -> None:
    """Raises CheckpointError for what is more than its file can hold: a list that holds one list twice, and so on.

    most: values, however often each is met; one takes a byte of the file at least.
    """
    waiting, met = [(content, 0)], 1
    while waiting:
        value, depth = waiting.pop()
        inside = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        inside = list(inside) if isinstance(inside, (list, tuple, set)) else []
        met += len(inside)
        if met > most or depth > DEEPEST:
            raise CheckpointError(f"{source} holds more values than its {most:,} bytes can, or lists too deep")
        waiting += [(item, depth + 1) for item in inside]


def read_file(path: Path) -> bytes:
    """The bytes of a file. Raises CheckpointError."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise CheckpointError(f"cannot read checkpoint {path}: it is no regular file")
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot read checkpoint {path}: {error.strerror or error}") from error


def load_weights(network: nn.Module, content: dict[str, Any], source: str | Path, new_head: bool = False) -> list[str]:
    """Put the weights of a checkpoint into `network`.

    new_head: whether the output layer may have another number of classes; it then stays as it was made, and the names
        of its weights are returned.
    Raises CheckpointError naming the first weight that does not fit.
    """
    weights = {name.removeprefix("network."): value for name, value in content["state_dict"].items()}
    own = network.state_dict()
    anew = other_head(own, weights) if new_head else []
    for name in [*own, *weights]:
        ours = tuple(own[name].shape) if name in own else "nothing of that name"
        theirs = tuple(weights[name].shape) if name in weights else "nothing of that name"
        if ours != theirs and name not in anew:
            about = content["zoo"]
            arguments = ", ".join(f"{key}={short(value)}" for key, value in about["arguments"].items())
            raise CheckpointError(
                f"{source} does not fit: it has {theirs} for {name!r}, the network {ours}; it holds "
                f"model={about['model']} with {arguments}"
            )
    theirs, ours = content["zoo"]["arguments"].get("vocabulary"), getattr(network, "vocabulary", None)
    if theirs != ours:  # of the same size, or a weight would not have fitted; but each number is another character
        raise CheckpointError(f"{source} does not fit: its vocabulary is {theirs!r}, the network's {ours!r}")
    network.load_state_dict({name: own[name] if name in anew else value for name, value in weights.items()})
    return anew


def other_head(own: dict[str, torch.Tensor], weights: dict[str, torch.Tensor]) -> list[str]:
    """The weights of the last layer, if all that it differs in is the number of its outputs, the first dimension."""
    layer = list(own)[-1].rpartition(".")[0]
    head = [name for name in own if name.rpartition(".")[0] == layer]
    if layer and all(name in weights and own[name].shape[1:] == weights[name].shape[1:] for name in head):
        return [name for name in head if own[name].shape != weights[name].shape]
    return []
