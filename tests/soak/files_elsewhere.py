"""Part B elsewhere: what torch, torch.hub and safetensors do with the same files."""

import io
import itertools
import os
import random
import resource
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import safetensors.torch
import torch
from test_checkpoint import Bomb

import zoo
from soak.children import Child, Overdue
from soak.files import flipped, other_files, served, zeroed
from soak.row import Row


def apart(work: Callable[[], object], folder: Path, seconds: float = 10) -> str:
    """What comes of it in a process of its own: nothing, the last line of its error, or that it does not end."""
    with Child(work, folder, "other") as child:
        try:
            if child.wait(seconds) == 0:
                return ""
        except Overdue:
            return "no end"
        return (child.errors.splitlines() or ["killed"])[-1]


def others() -> list[Row]:
    """torch, torch.hub and safetensors, by the same files."""
    folder = Path(tempfile.mkdtemp())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch, about the files that it is given here
            return list(itertools.chain(*(measure(folder) for measure in (flips, foreign, bombs, bombs_of_memory))))
    finally:
        shutil.rmtree(folder)


def small_network() -> tuple[bytes, bytes]:
    """One network as torch saves it, and as safetensors does."""
    torch.manual_seed(0)
    network, raw = zoo.create("mlp", in_features=64, num_classes=10, hidden_sizes=[100]), io.BytesIO()
    torch.save(network.state_dict(), raw)
    return raw.getvalue(), safetensors.torch.save(network.state_dict())


def flips(folder: Path) -> Iterator[Row]:
    """B2: 300 flipped bits and 300 zeroed blocks."""
    of_torch, of_safetensors = small_network()
    readers = {
        "torch.load": (of_torch, lambda raw: torch.load(io.BytesIO(raw), weights_only=True)),
        "safetensors": (of_safetensors, safetensors.torch.load),
    }
    for who, (good, load) in readers.items():
        dice, noticed = random.Random(0), 0
        for damage in [flipped] * 300 + [zeroed] * 300:
            try:
                load(damage(good, dice))
            except Exception:
                noticed += 1
        yield Row("B2", who, noticed, 600, f"{600 - noticed} damaged files are loaded without a word")


def foreign(folder: Path) -> Iterator[Row]:
    """B1: whether the error names the file, in one line."""
    of_torch, of_safetensors = small_network()
    for who, good, load in (
        ("torch.load", of_torch, lambda path: torch.load(path, weights_only=True)),
        ("safetensors", of_safetensors, safetensors.torch.load_file),
    ):
        files = other_files(good) | {f"{i} twentieths": good[: len(good) * i // 20] for i in range(20)}
        named, taken = 0, 0
        for content in files.values():
            (folder / "net.bin").write_bytes(content)
            try:
                load(folder / "net.bin")
                taken += 1
            except Exception as error:
                named += "net.bin" in str(error) and "\n" not in str(error)
        yield Row("B1", who, named, len(files), f"{taken} are taken, of the others {named} named in one line")


def bombs(folder: Path) -> Iterator[Row]:
    """B4: an address, and the variable of the environment."""
    target = folder / "exploded"
    torch.save({"state_dict": Bomb(target)}, folder / "net.pt")

    def executed(work: Callable[[], object]) -> bool:
        target.rmdir() if target.exists() else None
        apart(work, folder)
        return target.exists()

    def forced() -> None:
        os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"
        torch.load(folder / "net.pt")

    with served(folder) as address:
        ways = {
            "torch.load": lambda: torch.load(folder / "net.pt"),
            "torch.load with TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1": forced,
            "torch.hub, by an address": lambda: torch.hub.load_state_dict_from_url(
                f"{address}/net.pt", model_dir=str(folder / "hub"), progress=False
            ),
        }
        for who, work in ways.items():
            ran = executed(work)
            yield Row("B4", who, int(not ran), 1, "the code in the file is executed" if ran else "refused")


def bombs_of_memory(folder: Path) -> Iterator[Row]:
    """B5: parts that are compressed."""
    plain, raw = io.BytesIO(), io.BytesIO()
    torch.save({"w": torch.zeros(300 << 18)}, plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    (folder / "net.pt").write_bytes(raw.getvalue())

    def work() -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        torch.load(folder / "net.pt", weights_only=True)
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10)

    size = (folder / "net.pt").stat().st_size
    failed = apart(work, folder)
    grown = 0 if failed else int((folder / "other.out").read_text())
    yield Row("B5", "torch.load", int(bool(failed)), 1, failed or f"{size:,} bytes take {grown:,} of memory")
