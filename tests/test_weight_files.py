"""Files of weights: what comes back, how exactly, and what is refused in one line, never executed."""

import hashlib
import json
import os
import pickle
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load as any_reader
from safetensors.torch import save as any_writer

import zoo
from zoo import pretrained
from zoo.checkpoint import write_checkpoint
from zoo.errors import CheckpointError, ConfigError
from zoo.registry import MISSING, load_all
from zoo.weight_files import FORMAT, STORES, packed, sealed, unpacked

ARGUMENTS = {"in_features": 30, "num_classes": 4, "hidden_sizes": [50]}


@pytest.fixture
def network() -> torch.nn.Module:
    return zoo.create("mlp", **ARGUMENTS)


@pytest.fixture
def path(network: torch.nn.Module, tmp_path: Path) -> Path:
    """A good file."""
    (tmp_path / "good.safetensors").write_bytes(packed(network, card()))
    return tmp_path / "good.safetensors"


def card(**changes: Any) -> dict[str, Any]:
    return {"model": "mlp", "arguments": ARGUMENTS, "transform": {}, "version": "0.1.0", **changes}


def with_header(raw: bytes, change: Any) -> bytes:
    """The file with another `zoo` in its header, and the SHA-256 that belongs to it."""
    length = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + length])
    header["__metadata__"]["zoo"] = change(header["__metadata__"]["zoo"])
    new = json.dumps(header, separators=(",", ":")).encode()
    return sealed(struct.pack("<Q", len(new)) + new + raw[8 + length :])


@pytest.mark.parametrize("store", STORES)
def test_weights_come_back(network: torch.nn.Module, store: str) -> None:
    raw = packed(network, card(), store)
    content = unpacked(raw, "it")
    assert content["zoo"]["store"] == store and content["zoo"]["format"] == FORMAT
    for name, weight in network.state_dict().items():
        found = content["state_dict"][name]
        assert found.dtype == torch.float32 and found.shape == weight.shape
        largest = weight.abs().amax(-1, keepdim=True)
        error = {"float32": 0.0, "float16": 2**-11, "int8": 0.5 / 127}[store] if weight.numel() >= 1024 else 0.0
        assert ((found - weight).abs() <= error * largest * 1.001).all(), name
    assert set(any_reader(raw)) >= set(network.state_dict())  # any reader of safetensors opens it


def test_eight_bits_by_hand() -> None:
    net = zoo.create("mlp", in_features=1024, num_classes=3, hidden_sizes=[])
    with torch.no_grad():
        net.layers[0].weight.zero_()
        net.layers[0].weight[0, :3] = torch.tensor([1.27, -0.634, 0.004])
    raw = packed(net, card(), "int8")
    stored = any_reader(raw)
    assert stored["layers.0.weight"][0, :3].tolist() == [127, -63, 0]
    assert stored["layers.0.weight.scale"].tolist() == pytest.approx([0.01, 0, 0], abs=1e-9)
    found = unpacked(raw, "it")["state_dict"]["layers.0.weight"]
    assert found[0, :3].tolist() == pytest.approx([1.27, -0.63, 0.0])
    assert found[1:].abs().sum() == 0


def test_a_weight_of_two_names_is_stored_once_and_stays_one(tmp_path: Path) -> None:
    net = zoo.create("char_transformer", vocabulary="abcd", context_length=8, hidden_size=32)
    arguments = {"vocabulary": "abcd", "context_length": 8, "hidden_size": 32}
    raw = packed(net, {"model": "char_transformer", "arguments": arguments, "transform": {}})
    assert sum(t.numel() for t in any_reader(raw).values()) == sum(p.numel() for p in net.parameters())
    (tmp_path / "net.safetensors").write_bytes(raw)
    again = zoo.load(tmp_path / "net.safetensors")
    assert again.output.weight is again.embedding.weight
    x = torch.tensor([[0, 1, 2]])
    assert torch.equal(again(x), net.eval()(x))


@pytest.mark.parametrize("store", STORES)
def test_no_shortened_file_and_no_flipped_bit_is_loaded(path: Path, network: torch.nn.Module, store: str) -> None:
    good, dice = packed(network, card(), store), random.Random(0)
    for length in [0, 1, 7, 8, 9, 100, *range(200, len(good), 997), len(good) - 1]:
        path.write_bytes(good[:length])
        with pytest.raises(CheckpointError):
            zoo.load(path)
    header = 8 + struct.unpack("<Q", good[:8])[0]
    for place in [dice.randrange(header) for _ in range(100)] + [dice.randrange(len(good)) for _ in range(100)]:
        bad = bytearray(good)
        bad[place] ^= 1 << dice.randrange(8)
        path.write_bytes(bad)
        with pytest.raises(CheckpointError) as caught:
            zoo.load(path)
        assert "\n" not in str(caught.value)


def test_a_file_without_a_sha256_is_loaded_only_where_it_ships_with_the_zoo(
    path: Path, network: torch.nn.Module
) -> None:
    good = path.read_bytes()
    path.write_bytes(good.replace(b'"sha256"', b'"sha512"', 1))
    with pytest.raises(CheckpointError, match="has no SHA-256 in its header: damage could not be told"):
        zoo.load(path)
    for raw in (pretrained.shipped("xor"), good):
        path.write_bytes(raw)
        zoo.load(path)
        path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
        with pytest.raises(CheckpointError, match="has no SHA-256|is damaged: its SHA-256"):
            zoo.load(path)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "it is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(64), "it is a PNG picture"),
        (b"<!doctype html><title>Log in</title>", "it is a page of HTML or XML"),
        (b"\x1f\x8b" + bytes(64), "it is a gzip file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a pointer of Git LFS"),
        (pickle.dumps({"a": 1}), "it is a pickle, which could run code"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "it is an HDF5 file"),
        (b"hello world, this is text", "it begins with b'hello wo'"),
    ],
)
def test_other_files_are_named_for_what_they_are(content: bytes, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"net.safetensors is no .safetensors file: {kind}") as caught:
        zoo.load(path)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 4


def test_cards_that_are_none_are_refused(path: Path) -> None:
    good = path.read_bytes()
    changed: list[tuple[Any, str]] = [
        (lambda text: json.dumps(json.loads(text) | {"format": 2, "version": "9.1"}), r"format 2, .* newer zoo .9.1.*"),
        (lambda text: json.dumps(json.loads(text) | {"format": "1"}), "does not say in which format"),
        (lambda text: "[" * 100_000, "has no card of the zoo"),
        (lambda text: "{", "has no card of the zoo"),
        (lambda text: "[1]", "does not say in which format"),
        (lambda text: json.dumps({"format": 1, "model": 3}), "does not say which network"),
        (lambda text: json.dumps(json.loads(text) | {"shared": {"b": "a"}}), "lacks 'a', which 'b' shares"),
    ]
    for change, words in changed:
        path.write_bytes(with_header(good, change))
        with pytest.raises(CheckpointError, match=words) as caught:
            zoo.load(path)
        assert "\n" not in str(caught.value)
    path.write_bytes(any_writer({"a": torch.zeros(2)}))
    with pytest.raises(CheckpointError, match="has no card of the zoo in its header"):
        zoo.load(path)


def test_what_does_not_fit_is_named_with_both_shapes(path: Path) -> None:
    good = path.read_bytes()
    other = ARGUMENTS | {"hidden_sizes": [60]}
    path.write_bytes(with_header(good, lambda text: json.dumps(json.loads(text) | {"arguments": other})))
    with pytest.raises(CheckpointError, match=r"has \(50, 30\) for 'layers.0.weight', the network \(60, 30\)"):
        zoo.load(path)


@pytest.mark.parametrize("place", ["card", "arguments", "transform"])
def test_targets_of_hydra_are_plain_text_to_us(path: Path, tmp_path: Path, place: str) -> None:
    """What an instantiating loader would call."""
    target = {"_target_": "os.mkdir", "_args_": [str(tmp_path / "exploded")]}

    def change(text: str) -> str:
        about = json.loads(text)
        (about if place == "card" else about[place]).update(target)
        return json.dumps(about)

    path.write_bytes(with_header(path.read_bytes(), change))
    if place == "arguments":
        with pytest.raises(ConfigError, match="no argument '_target_'"):
            zoo.load(path)
    else:
        zoo.load(path)
    assert not (tmp_path / "exploded").exists()


def test_tags_in_the_yaml_of_a_run_do_nothing(train: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    from zoo.shell import main

    train("experiment=xor_mlp", "run_dir=run", "figures=false", "logger=csv", "trainer.max_epochs=1")
    (tmp_path / "run" / "config.yaml").write_text(f"a: !!python/object/apply:os.mkdir ['{tmp_path / 'exploded'}']\n")
    zoo.load("run")
    for command in ("card", "evaluate", "publish"):
        with pytest.raises(SystemExit) as ended:
            main([command, "run"])
        assert ended.value.code == 0
    assert not (tmp_path / "exploded").exists()


def test_a_small_file_that_asks_for_a_huge_network_takes_no_memory(path: Path) -> None:
    huge = ARGUMENTS | {"hidden_sizes": [100_000, 100_000]}
    path.write_bytes(with_header(path.read_bytes(), lambda text: json.dumps(json.loads(text) | {"arguments": huge})))
    with pytest.raises(CheckpointError, match="holds 1,754 numbers, its card asks for a far larger network"):
        zoo.load(path)
    with pytest.raises(CheckpointError, match="asks for a far larger network"):
        zoo.create("mlp", pretrained=path)
    deep = ARGUMENTS | {"hidden_sizes": [1] * 10_000}  # small, but many
    path.write_bytes(with_header(path.read_bytes(), lambda text: json.dumps(json.loads(text) | {"arguments": deep})))
    with pytest.raises(CheckpointError, match="asks for a far larger network"):
        zoo.load(path)


@pytest.mark.parametrize(
    "weight", [torch.zeros(()).expand(9000, 9000), torch.zeros(3, device="meta"), torch.zeros(3) * 1j]
)
def test_weights_that_a_checkpoint_only_claims_to_hold_are_refused(weight: torch.Tensor, tmp_path: Path) -> None:
    content = {"zoo": {"model": "mlp", "arguments": ARGUMENTS}, "state_dict": {"network.layers.0.weight": weight}}
    write_checkpoint(content, tmp_path / "net.ckpt")
    with pytest.raises(CheckpointError, match="which it does not hold|something other than a dense tensor"):
        zoo.load(tmp_path / "net.ckpt")


@pytest.mark.parametrize(
    "transform",
    [
        "image",
        {"kind": ["a"]},
        {"kind": "numbers"},
        {"kind": "image", "size": 30_000, "channels": 1, "mean": 0, "std": 1},
        {"kind": "image", "size": 28, "channels": 1, "mean": "x", "std": 1},
        {"kind": "image", "size": 28, "channels": 1, "mean": 0, "std": 1, "writing": {"box": 99, "centre": "mass"}},
        {"kind": "symbols", "vocabulary": "ab", "length": 10**12, "blank": "a"},
    ],
)
def test_a_transform_out_of_order_is_refused(transform: Any, path: Path) -> None:
    path.write_bytes(
        with_header(path.read_bytes(), lambda text: json.dumps(json.loads(text) | {"transform": transform}))
    )
    with pytest.raises(CheckpointError, match="its transform is not in order"):
        zoo.load(path)


def test_a_header_that_declares_more_than_there_is_takes_no_memory(path: Path) -> None:
    good = path.read_bytes()
    for declared in (2**62, 10**9, len(good)):
        path.write_bytes(struct.pack("<Q", declared) + good[8:])
        with pytest.raises(CheckpointError, match="cut short or damaged: it declares a header of"):
            zoo.load(path)
    weight = {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}
    about = {"zoo": json.dumps({"format": 1, **card()}), "sha256": "0" * 64}
    header = json.dumps({"w": weight, "__metadata__": about}, separators=(",", ":")).encode()
    path.write_bytes(sealed(struct.pack("<Q", len(header)) + header + bytes(100)))
    with pytest.raises(CheckpointError, match="is damaged"):
        zoo.load(path)


def test_from_an_address_only_with_its_sha256(
    path: Path, network: torch.nn.Module, server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ZOO_DATA_DIR", str(tmp_path / "kept"))
    x, digest = torch.randn(2, 30), hashlib.sha256(path.read_bytes()).hexdigest()
    address = f"{server}/good.safetensors#sha256={digest}"
    assert torch.equal(zoo.load(address)(x), network.eval()(x))
    path.unlink()
    assert torch.equal(zoo.load(address)(x), network(x))  # it is kept
    kept = tmp_path / "kept" / "weights" / f"{digest}.safetensors"
    kept.write_bytes(b"x")
    with pytest.raises(CheckpointError, match="is damaged: SHA-256"):
        zoo.load(address)
    (tmp_path / "other.safetensors").write_bytes(b"something else")
    for wrong in ("/good.safetensors", "/good.safetensors#sha256=12", f"/good.ckpt#sha256={digest}"):
        with pytest.raises(CheckpointError, match=r"weights are fetched only as https://....safetensors#sha256=HEX"):
            zoo.load(server + wrong)
    with pytest.raises(CheckpointError, match="is not the file expected: 14 bytes with SHA-256"):
        zoo.load(f"{server}/other.safetensors#sha256={'0' * 64}")
    with pytest.raises(CheckpointError, match="the server answered 404"):
        zoo.load(f"{server}/none.safetensors#sha256={'0' * 64}")
    assert sorted(os.listdir(kept.parent)) == [kept.name]


SMALL = {
    "num_classes": 3, "in_features": 12, "vocabulary": "abc", "vocab_size": 9, "context_length": 6, "hidden_size": 8,
    "words": ["a", "b", "c"], "counts": [3, 2, 1], "hidden_sizes": [7], "input_shape": [1, 28, 28],
}  # fmt: skip


KINDS = ["mlp", "lenet", "nielsen_convnet", "char_rnn", "char_transformer", "word2vec", "autoencoder"]


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_comes_back_the_same(name: str, tmp_path: Path) -> None:
    import inspect

    parameters = inspect.signature(load_all()["model"][name]).parameters
    arguments = {key: SMALL[key] for key, p in parameters.items() if p.default is p.empty or key == "hidden_sizes"}
    assert MISSING not in arguments.values()
    net = zoo.create(name, **arguments).eval()
    path = tmp_path / "net.safetensors"
    path.write_bytes(packed(net, {"model": name, "arguments": arguments, "transform": {}}))
    again = zoo.load(path)
    assert torch.equal(again(net.example_input), net(net.example_input))
