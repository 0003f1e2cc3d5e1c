"""Small pictures, decoded once: one file of bytes on the disk, mapped into memory."""

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.checkpoint import write_whole
from zoo.data.picture_files import PictureFiles, Unreadable, decode, squared
from zoo.errors import DataError, OutputError
from zoo.processes import share

FEW = 5  # damaged files that are named; all are counted


class Held(NamedTuple):
    """Pictures (N, s, s, 3) uint8 of the files that could be read, and why the others could not."""

    images: Tensor
    damaged: dict[str, str]


def hold(files: PictureFiles, names: Sequence[str], size: int, name: str, cache: Path) -> Held:
    """Decode the pictures, or take them from the cache where they are there.

    name: what messages and the cache call them. Raises DataError: no memory for them, a damaged cache; OutputError.
    """
    needed, free = len(names) * size * size * 3, free_memory()
    if needed > free / 2:
        raise DataError(
            f"{name}: {len(names):,} pictures of {size}x{size} take {needed / 1e9:.1f} GB of memory, and "
            f"{free / 1e9:.1f} GB are free; data.held=false reads them from their files"
        )
    digest = hashlib.sha256(f"{files.fingerprint(names)} {size} checked".encode()).hexdigest()[:12]
    folder = cache / f"{name}_{digest}"
    if not folder.exists():
        build(files, names, size, folder)
    found = read(folder, names, size)
    if any(isinstance(pixels, bytes) for pixels in decoded(files, list(found.damaged), size)):
        shutil.rmtree(folder, ignore_errors=True)  # what could not be read then can be now, without having changed
        build(files, names, size, folder)
        found = read(folder, names, size)
    if share().rank:
        return found  # the first process says it
    print(f"{name}: {len(found.images):,} pictures of {size}x{size}, {needed / 1e6:,.1f} MB", file=sys.stderr)
    if found.damaged:
        some = ", ".join(f"{file} ({reason})" for file, reason in list(found.damaged.items())[:FEW])
        more = ", ..." if len(found.damaged) > FEW else ""
        print(f"{name}: {len(found.damaged)} damaged pictures are left out: {some}{more}", file=sys.stderr)
    return found


def free_memory() -> float:
    """Bytes that this machine can still give; infinite where it does not say."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return float("inf")


def read(folder: Path, names: Sequence[str], size: int) -> Held:
    """What `build` has written. Raises DataError where it is damaged."""
    path = folder / "pictures.u8"
    try:
        about = json.loads((folder / "about.json").read_text())
        damaged = about["damaged"]
        count = len(names) - len(damaged)
        if path.stat().st_size != count * size * size * 3:
            raise ValueError(f"the size of {path.name} is wrong")
        if about["sha256"] != checksum(path, damaged):
            raise ValueError("its SHA-256 is not the one it was written with")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{folder} is damaged ({error}); delete it to have it made again") from error
    # Not shared: nothing that is done to the tensor reaches the file.
    images = torch.from_file(str(path), shared=False, size=count * size * size * 3, dtype=torch.uint8)
    return Held(images.view(count, size, size, 3), damaged)


def checksum(path: Path, damaged: dict[str, str]) -> str:
    """SHA-256 of the pictures, and of what is said about those that are not there."""
    digest = hashlib.sha256(json.dumps(damaged).encode())
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def build(files: PictureFiles, names: Sequence[str], size: int, folder: Path) -> None:
    """Write the folder that `read` reads, whole or not at all. Raises OutputError, and DataError if all are damaged."""
    part = folder  # until there is one
    damaged: dict[str, str] = {}
    shown = time.monotonic()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(".part", f".{folder.name}.", folder.parent))
        with open(part / "pictures.u8", "wb") as file:
            for number, (name, pixels) in enumerate(zip(names, decoded(files, names, size), strict=True), 1):
                if isinstance(pixels, Unreadable):
                    damaged[name] = str(pixels)
                else:
                    file.write(pixels)
                if time.monotonic() - shown > 1:
                    shown = time.monotonic()
                    print(f"{files.root}: {number:,} of {len(names):,} pictures decoded", file=sys.stderr)
            file.flush()
            os.fsync(file.fileno())
        if len(damaged) == len(names):
            raise DataError(f"{files.root}: none of {len(names)} pictures can be read ({next(iter(damaged.values()))})")
        about = {"damaged": damaged, "sha256": checksum(part / "pictures.u8", damaged)}
        write_whole(part / "about.json", json.dumps(about).encode())
        with contextlib.suppress(FileExistsError, NotADirectoryError):
            part.rename(folder)
        if not folder.exists():
            raise OutputError(f"cannot write {folder}")
    except OSError as error:
        if not folder.exists():  # else another process has made the same at the same time
            raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        if part != folder:
            shutil.rmtree(part, ignore_errors=True)


def decoded(files: PictureFiles, names: Sequence[str], size: int) -> Iterable[bytes | Unreadable]:
    """The bytes of each picture, or why it has none. Pillow decodes without the interpreter's lock: threads help."""

    def one(name: str) -> bytes | Unreadable:
        try:
            return squared(decode(files.read(name)), size).tobytes()
        except Unreadable as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(names), 1000):  # a thousand at a time: the pool would keep all results
            yield from pool.map(one, names[start : start + 1000])
