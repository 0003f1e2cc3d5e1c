"""Splits, batches and their order; the data sets against what their sources say."""

import os
import subprocess
import sys
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from conftest import DATA_ROOT, FOUND_PICTURES, ROOT, marked, needs_mnist
from test_pictures import write_tree

from zoo.data.dataset import Batches, DataSet, mix
from zoo.data.mackey_glass import mackey_glass
from zoo.errors import ConfigError, DataError
from zoo.registry import build, load_all

SETS = [name for name in marked(sorted(load_all()["data"])) if name.values != ("imagenet",)]
SETS += ["imagenet"]  # on pictures of noise, which are always there
VARYING = ("multi30k",)  # a batch is as long as its longest sentence


@pytest.fixture(autouse=True)
def no_file_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a data set keeps for itself lies in a folder of the test."""
    monkeypatch.setenv("ZOO_DATA_DIR", str(DATA_ROOT.resolve()))
    monkeypatch.chdir(tmp_path)


def loaded(name: str, **arguments: object) -> DataSet:
    if name in ("text", "corpus"):
        arguments["path"] = str(ROOT / "README.md")
    if name == "corpus":  # small, and not judged: the tests of word vectors are fetched
        arguments |= {"min_count": 1, "similarity": [], "analogies": None}
    if name == "cifar10":
        arguments |= {"cache": str(FOUND_PICTURES)}
    if name in ("image_folder", "imagenet"):
        root = write_tree(Path(name), ("train", "val"))
        arguments |= {"root": str(root), "validation": 0.2, "num_workers": 0}
    data = build("data", name, arguments)
    data.load()
    return data


@pytest.mark.parametrize("name", SETS)
def test_items_are_what_the_set_provides(name: str) -> None:
    data = loaded(name)
    provides = data.provides
    for part in ("train", "val", "test"):
        if "words" in provides:  # runs of their numbers, without targets; one number more ends a sentence
            (x,) = getattr(data, part)
            assert list(x.shape[1:]) == provides["input_shape"] and len(x) > 0
            assert x.dtype == torch.int32 and 0 <= x.min() and x.max() <= len(provides["words"])
            assert len(provides["counts"]) == len(provides["words"])
            continue
        x, targets = next(iter(data.batches(part)))[:: 1 if len(data.train) < 3 else 2]
        assert len(targets) == len(x) > 0
        if "vocabulary" in provides:
            assert x.shape == targets.shape and x.dtype == targets.dtype == torch.int64
            assert 0 <= min(x.min(), targets.min()) and max(x.max(), targets.max()) < len(provides["vocabulary"])
            assert data.transform["vocabulary"] == provides["vocabulary"]
            continue
        x, targets = data.ready(part, slice(1000))[0], getattr(data, part)[-1]
        assert list(x.shape[1:]) == provides["input_shape"]
        if provides.get("vocab_size"):
            assert x.dtype == torch.int64 and 0 <= x.min() and x.max() < provides["vocab_size"]
        else:
            assert x.dtype == torch.float32 and x.isfinite().all()
            assert provides["in_features"] in (x[0].numel(), x.shape[-1])
        if "num_classes" not in provides:  # the target is a sentence too
            assert targets.dtype == torch.int64 and 0 <= targets.min() and targets.max() < provides["vocab_size"]
        elif provides["num_classes"]:
            assert targets.dtype == torch.int64
            assert sorted(set(targets.tolist())) == list(range(provides["num_classes"]))
        else:
            assert targets.dtype == torch.float32
    for tensor, example in zip(next(iter(data.batches("train"))), data.example_batch(), strict=True):
        assert tensor.dtype == example.dtype and tensor.dim() == example.dim()
        assert name in VARYING or tensor.shape[1:] == example.shape[1:]


@pytest.mark.parametrize("name", SETS)
def test_loading_twice_gives_the_same(name: str) -> None:
    one, two = loaded(name), loaded(name)
    for split in ("train", "val", "test"):
        assert all(torch.equal(a, b) for a, b in zip(getattr(one, split), getattr(two, split), strict=True))


def test_digits_are_split_within_each_class_and_nothing_is_in_two_splits() -> None:
    data = loaded("digits", image_size=8)
    sizes = [len(split[0]) for split in (data.train, data.val, data.test)]
    assert sum(sizes) == 1797 and abs(sizes[2] - 1797 / 3) <= 10
    for digit in range(10):
        counts = [int((split[1] == digit).sum()) for split in (data.train, data.val, data.test)]
        assert abs(counts[2] - sum(counts) / 3) < 1
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    raw = Counter((*row, label) for row, label in zip(pixels.tolist(), labels.tolist(), strict=True))
    ours: Counter[tuple[float, ...]] = Counter()
    for x, targets in (data.train, data.val, data.test):
        ink = ((x * data.transform["std"] + data.transform["mean"]) * 16).round().flatten(1)
        ours.update((*row, label) for row, label in zip(ink.tolist(), targets.tolist(), strict=True))
    assert ours == raw


def test_digits_are_standardised() -> None:
    x = loaded("digits", image_size=8).train[0]
    assert float(x.mean()) == pytest.approx(0, abs=0.02)
    assert float(x.std()) == pytest.approx(1, abs=0.02)


def test_xor_is_the_truth_table() -> None:
    x, targets = loaded("xor").test
    assert [(int(a) ^ int(b)) for a, b in x.tolist()] == targets.tolist() and len(x) == 4


def test_pass_class_is_what_its_script_draws() -> None:
    script = ROOT / "data" / "draw_pass_class.py"
    drawn = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True).stdout
    assert drawn == (files("zoo.files") / "pass_class.csv").read_text()


def test_pass_class_asks_only_a_network_that_classifies() -> None:
    data = loaded("pass_class")
    assert data.probe(build("model", "autoencoder", {"in_features": 2, "hidden_sizes": [1]})) == {}


def test_pass_class_knows_the_best_possible_accuracy() -> None:
    data = loaded("pass_class")
    assert [len(split[0]) for split in (data.train, data.val, data.test)] == [900, 100, 500]
    raw = data.test[0] * torch.tensor([8.0, 10.0])
    passes = raw[:, 0].clamp(max=6) / 2 + raw[:, 1].clamp(max=8) / 2 > 3.5
    assert data.bayes_accuracy == pytest.approx(float((passes == data.test[1].bool()).float().mean()), abs=0.005)

    class Oracle(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(x), 1)

        def loss(self, batch: tuple[torch.Tensor, torch.Tensor]) -> dict[str, torch.Tensor]:
            return {"acc": torch.tensor(data.bayes_accuracy)}

    assert data.probe(Oracle()) == {"p(4,5)": 0.5, "acc_of_bayes": 1.0}


def test_mackey_glass_parts_follow_one_another_and_share_no_value() -> None:
    data = loaded("mackey_glass", length=30, train_size=200)
    assert [len(split[0]) for split in (data.train, data.val, data.test)] == [200, 500, 1000]
    series = mackey_glass(200 + 500 + 1000 + 3 * 30)
    start = 0
    for x, targets in (data.train, data.val, data.test):
        for i in (0, 1, len(x) - 1):
            assert torch.equal(x[i, :, 0], series[start + i : start + i + 30])
            assert targets[i] == series[start + i + 30]
        start += len(x) + 30
    assert start == len(series)


def test_mackey_glass_is_solved_as_scipy_solves_it() -> None:
    """The method of steps: over each delay the past is known, and an ordinary equation is left."""
    from scipy.integrate import solve_ivp

    tau, past, end = 17, [lambda t: 1.2], 1.2
    for k in range(60):  # up to time 1,020

        def slope(t: float, x: list[float], k: int = k) -> list[float]:
            delayed = float(past[k](t - tau))
            return [0.2 * delayed / (1 + delayed**10) - 0.1 * x[0]]

        span = (k * tau, (k + 1) * tau)
        solved = solve_ivp(slope, span, [end], rtol=1e-10, atol=1e-12, dense_output=True, max_step=1.0)
        past.append(lambda t, solution=solved.sol: solution(t)[0])
        end = float(solved.y[0, -1])
    theirs = [float(past[int(t // tau) + 1](t)) for t in range(1000, 1020)]
    assert mackey_glass(20).tolist() == pytest.approx(theirs, abs=3e-3)  # chaos has made the rounding that large


def test_mackey_glass_knows_the_error_of_persistence_and_of_the_mean() -> None:
    data = loaded("mackey_glass")

    class Constant(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return data.test[1].mean().expand(len(x), 1)

    found = data.probe(Constant())
    assert found["nrmse"] == pytest.approx(1, abs=1e-3)
    assert found["nrmse_of_persistence"] == pytest.approx(0.148, abs=0.01)
    series, answers = data.left_alone(Constant(), 7)
    assert torch.equal(series, data.test[1][:7]) and torch.equal(answers, data.test[1].mean().expand(7))


@needs_mnist
def test_mnist_is_the_official_split_with_validation_off_the_training_part() -> None:
    data = loaded("mnist", validation=5000)
    assert [len(split[0]) for split in (data.train, data.val, data.test)] == [55_000, 5_000, 10_000]
    assert data.test[1][:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]  # the official order
    assert data.train[1][:5].tolist() == [5, 0, 4, 1, 9]
    assert float(data.train[0].mean()) == pytest.approx(0, abs=0.01)
    assert float(data.train[0].std()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("digits", {"batch_size": 0}, "batch_size must be >= 1, got 0"),
        ("digits", {"image_size": 7}, "image_size must be >= 8"),
        ("xor", {"repeat": 0}, "repeat must be >= 1"),
        ("mackey_glass", {"length": 0}, "length must be >= 1, got 0"),
        ("mackey_glass", {"tau": 0}, "tau must be >= 1, got 0"),
        ("mackey_glass", {"train_size": 0}, "train_size must be >= 1, got 0"),
        ("mnist", {"validation": 60_000}, "validation must lie in 1 .. 59999"),
        ("svhn", {}, "unknown data 'svhn'; valid: "),
    ],
)
def test_bad_values_are_named_with_their_rule(name: str, wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build("data", name, wrong)


@needs_mnist
def test_a_damaged_mnist_file_is_named_and_not_read(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in (build("data", "mnist", {}).root / "MNIST" / "raw").glob("*-ubyte"):
        os.symlink(file.resolve(), raw / file.name)
    labels = raw / "t10k-labels-idx1-ubyte"
    content = bytearray(labels.read_bytes())
    content[5000] ^= 1
    labels.unlink()
    labels.write_bytes(content)
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte is damaged"):
        build("data", "mnist", {"root": str(tmp_path)}).load()


def test_an_epoch_shows_each_item_once_and_the_next_in_another_order() -> None:
    x = torch.arange(10)
    step = 0
    batches = Batches((x, x * 10), batch_size=4, seed=3, step=lambda: step)
    assert len(batches) == 3
    first = list(batches)
    assert [len(a) for a, _ in first] == [4, 4, 2]
    assert all(torch.equal(b, a * 10) for a, b in first)
    assert sorted(torch.cat([a for a, _ in first]).tolist()) == list(range(10))
    step = 3
    second = list(batches)
    assert sorted(torch.cat([a for a, _ in second]).tolist()) == list(range(10))
    assert torch.cat([a for a, _ in first]).tolist() != torch.cat([a for a, _ in second]).tolist()


@pytest.mark.parametrize("repeat", [1, 3])
@pytest.mark.parametrize("batch_size", [3, 4, 10, 99])
def test_from_any_step_on_come_the_batches_that_would_have_come(batch_size: int, repeat: int) -> None:
    x = torch.arange(10)
    step = 0
    batches = Batches((x,), batch_size, seed=7, repeat=repeat, step=lambda: step)
    whole = [b[0].tolist() for b in batches]
    for step in range(len(batches)):
        assert [b[0].tolist() for b in batches] == whole[step:]
    step = len(batches)
    assert len(list(batches)) == len(batches)  # the next epoch, whole


def test_orders_differ_between_seeds_and_passes_and_are_evenly_spread() -> None:
    orders = {tuple(Batches((torch.arange(4),), 1, seed).order(p, 4).tolist()) for seed in range(40) for p in range(40)}
    assert len(orders) == 24  # every permutation of four comes up
    assert len({mix(seed, step) for seed in range(100) for step in range(100)}) == 10_000
    firsts = Counter(int(Batches((torch.arange(4),), 1, seed=0).order(p, 4)[0]) for p in range(2000))
    assert all(abs(count - 500) < 100 for count in firsts.values())  # 5 standard deviations


def test_without_a_seed_the_order_is_the_files() -> None:
    assert torch.cat([b[0] for b in Batches((torch.arange(7),), 3)]).tolist() == list(range(7))
