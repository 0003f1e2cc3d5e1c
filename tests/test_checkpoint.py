"""Checkpoint files: whole or refused, never executed, loaded without Hydra or Lightning."""

import contextlib
import hashlib
import io
import os
import random
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT

import zoo
from zoo.checkpoint import COMMENT, MARK, read_checkpoint, write_checkpoint, write_whole
from zoo.errors import CheckpointError, ConfigError, OutputError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A good checkpoint of a small network."""
    arguments = {"in_features": 3, "num_classes": 4, "hidden_sizes": [5]}
    torch.manual_seed(0)
    net = zoo.create("mlp", **arguments)
    weights = {f"network.{key}": value for key, value in net.state_dict().items()}
    write_checkpoint({"zoo": {"model": "mlp", "arguments": arguments}, "state_dict": weights}, tmp_path / "good.ckpt")
    return tmp_path / "good.ckpt"


def test_any_torch_reads_it(path: Path) -> None:
    assert set(torch.load(path, weights_only=True)) == {"zoo", "state_dict"}


def test_no_flipped_bit_is_loaded(path: Path) -> None:
    good, dice = path.read_bytes(), random.Random(0)
    for _ in range(200):
        bad = bytearray(good)
        bad[dice.randrange(len(bad))] ^= 1 << dice.randrange(8)
        path.write_bytes(bad)
        with pytest.raises(CheckpointError):
            zoo.load(str(path))


def test_no_zeroed_block_and_no_shortened_file_is_loaded(path: Path) -> None:
    good = path.read_bytes()
    for start in range(0, len(good), 256):
        block = good[start : start + 256]
        if any(block):
            path.write_bytes(good[:start] + bytes(len(block)) + good[start + len(block) :])
            with pytest.raises(CheckpointError):
                zoo.load(str(path))
        path.write_bytes(good[:start])
        with pytest.raises(CheckpointError, match="cut short|damaged"):
            zoo.load(str(path))
    path.write_bytes(good + b"x")
    with pytest.raises(CheckpointError):
        zoo.load(str(path))


class Bomb:
    """Unpickling it would make a file."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.target),)


def test_code_in_a_file_is_never_executed_whatever_the_door(path: Path, server: str, tmp_path: Path) -> None:
    bombs, target = {}, tmp_path / "exploded"
    bombs["marked.ckpt"] = {**read_checkpoint(path), "more": Bomb(target)}
    write_checkpoint(bombs["marked.ckpt"], tmp_path / "marked.ckpt")  # with a SHA-256 that is right
    torch.save({"state_dict": Bomb(target)}, tmp_path / "plain.ckpt")
    torch.save({"state_dict": Bomb(target)}, tmp_path / "old.ckpt", _use_new_zipfile_serialization=False)
    for name in ("marked.ckpt", "plain.ckpt", "old.ckpt"):
        for source in (str(tmp_path / name), f"{server}/{name}", f"{server}/{name}#sha256={'0' * 64}"):
            with pytest.raises(CheckpointError):
                zoo.load(source)
    assert not target.exists()
    torch.load(tmp_path / "plain.ckpt", weights_only=False)
    assert target.exists()  # the bomb was a real one


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x89PNG\r\n", b"\x80\x04K\x01.", b"x" * 10_000])
def test_other_files_are_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.ckpt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="other.ckpt is not a checkpoint of the zoo") as caught:
        zoo.load(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": {}}, {"zoo": 3}, {"zoo": {}}, {"zoo": {"model": "mlp"}}])
def test_whole_files_without_a_network_are_refused(content: Any, tmp_path: Path) -> None:
    write_checkpoint(content, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match="does not say which network it holds"):
        zoo.load(str(tmp_path / "other.ckpt"))


class Odd:
    """Pickles to something that torch's unpickler trips over in its own ways."""

    def __init__(self, recipe: tuple[Any, ...]):
        self.recipe = recipe

    def __reduce__(self) -> tuple[Any, ...]:
        return self.recipe


def test_whatever_stands_in_a_file_with_a_right_mark_is_one_line(path: Path) -> None:
    good = read_checkpoint(path)
    for weights in ({"network.x": 3}, {5: torch.zeros(1)}, {"network.x": torch.eye(3).to_sparse()}):
        write_checkpoint({**good, "state_dict": weights}, path)
        with pytest.raises(CheckpointError, match="something other than a dense tensor") as caught:
            zoo.load(str(path))
        assert "\n" not in str(caught.value)
    for recipe in ((torch._utils._rebuild_tensor_v2, (1, 2)), (dict, (3,)), (torch.Size, ("x",))):
        write_checkpoint({**good, "more": Odd(recipe)}, path)
        with pytest.raises(CheckpointError, match="not loaded"):
            zoo.load(str(path))
    for features, kind, words in (
        ("3", ConfigError, "in_features must be of type int"),
        (10**15, CheckpointError, "asks for a far larger network"),
    ):
        arguments = {"in_features": features, "num_classes": 4}
        write_checkpoint({**good, "zoo": {"model": "mlp", "arguments": arguments}}, path)
        with pytest.raises(kind, match=words):
            zoo.load(str(path))


def test_a_small_file_that_unpacks_to_a_large_one_is_refused(path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    archive = packed.getvalue()[:-2]
    path.write_bytes(archive + COMMENT.to_bytes(2, "little") + MARK + hashlib.sha256(archive).hexdigest().encode())
    with pytest.raises(CheckpointError, match="has compressed parts"):
        zoo.load(str(path))


def nested(value: Any, times: int, width: int) -> Any:
    for _ in range(times):
        value = [value] * width
    return value


@pytest.mark.parametrize("value", [nested(1, 60, 2), nested(1, 10_000, 1)], ids=["wide", "deep"])
def test_a_small_file_whose_values_unfold_without_end_is_refused_at_once(path: Path, value: Any) -> None:
    content = read_checkpoint(path)
    content["zoo"]["arguments"]["hidden_sizes"] = value
    with recursion_to(100_000):
        write_checkpoint(content, path)
    with pytest.raises(CheckpointError, match="holds more values than its .* bytes can, or lists too deep"):
        zoo.load(str(path))


@contextlib.contextmanager
def recursion_to(depth: int) -> Iterator[None]:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(depth)
    yield
    sys.setrecursionlimit(before)


def test_an_archive_of_a_million_parts_is_refused_before_they_are_listed(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04" + b"PK\x01\x02" * 1_000_000)
    with pytest.raises(CheckpointError, match="has more than 50,000 parts; not loaded"):
        zoo.load(str(path))


def test_what_a_newer_zoo_has_written_is_told_so(path: Path) -> None:
    content = read_checkpoint(path)
    write_checkpoint({**content, "zoo": {**content["zoo"], "format": 2, "version": "9.1"}}, path)
    with pytest.raises(CheckpointError, match=r"is in format 2, written by a newer zoo \(9.1\)"):
        zoo.load(str(path))


@pytest.mark.parametrize("name", [b"\xff\xfe", b"\x1b["])
def test_an_archive_whose_table_of_contents_is_damaged_is_one_line(path: Path, name: bytes) -> None:
    raw = path.read_bytes()
    place = raw.index(b"PK\x01\x02") + 46
    archive = raw[:place] + name + raw[place + 2 : -COMMENT - 2]
    path.write_bytes(archive + COMMENT.to_bytes(2, "little") + MARK + hashlib.sha256(archive).hexdigest().encode())
    with pytest.raises(CheckpointError) as caught:
        zoo.load(str(path))
    assert str(caught.value).isprintable()


def test_a_file_or_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nothing.ckpt: No such file or directory"):
        zoo.load(str(tmp_path / "nothing.ckpt"))
    with pytest.raises(CheckpointError, match=r"holds no run .checkpoints/best.ckpt., nor what zoo publish makes"):
        zoo.load(str(tmp_path))
    with pytest.raises(CheckpointError, match="File name too long"):
        zoo.load("x" * 5000)


def test_what_does_not_fit_the_network_is_named(path: Path) -> None:
    content = read_checkpoint(path)
    for change, words in (
        (
            {"arguments": {"in_features": 3, "num_classes": 4, "hidden_sizes": [6]}},
            r"has \(5, 3\) .* the network \(6, 3\)",
        ),
        ({"arguments": {"in_features": 3, "num_classes": 4, "hidden_sizes": []}}, "does not fit"),
    ):
        write_checkpoint({**content, "zoo": {**content["zoo"], **change}}, path)
        with pytest.raises(CheckpointError, match=words):
            zoo.load(str(path))
    for change, words in (({"model": "mlpp"}, "unknown model 'mlpp'"), ({"arguments": {"depth": 3}}, "no argument")):
        write_checkpoint({**content, "zoo": {**content["zoo"], **change}}, path)
        with pytest.raises(ConfigError, match=words):
            zoo.load(str(path))


def test_a_full_disk_leaves_the_previous_file(path: Path) -> None:
    good = path.read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OutputError, match="cannot write .*good.ckpt: File too large"):
            write_checkpoint({"zoo": {}, "state_dict": {"w": torch.zeros(10_000)}}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == good
    assert [p.name for p in path.parent.iterdir()] == ["good.ckpt"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write .*file/x"):
        write_whole(tmp_path / "file" / "x", b"")


def test_the_mark_stands_where_a_zip_archive_has_its_comment(path: Path) -> None:
    assert zipfile.ZipFile(path).comment.startswith(MARK)


def test_loading_needs_neither_hydra_nor_lightning(path: Path) -> None:
    code = (
        "import sys, zoo; assert 'torch' not in sys.modules; zoo.load(sys.argv[1]);"
        "bad = {'hydra', 'omegaconf', 'lightning', 'pytorch_lightning', 'torchvision', 'matplotlib', 'sklearn'};"
        "assert not bad & set(sys.modules), bad & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(path)], check=True, cwd=ROOT)


def test_a_link_stays_and_a_device_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "there" / "file.txt")
    write_whole(link, b"whole")
    assert link.is_symlink() and (tmp_path / "there" / "file.txt").read_bytes() == b"whole"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OutputError, match="pipe: it is no file"):
        write_whole(pipe, b"whole")
    assert pipe.is_fifo()
