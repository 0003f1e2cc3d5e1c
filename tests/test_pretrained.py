"""What ships: each file loads, its figure is measured anew, card and evidence agree; and what starts from it."""

import copy
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import FOUND_PICTURES, ROOT, needs, needs_mnist, seconds_alone
from record import summary
from ship import SHIPS, WEIGHTS, page
from test_items import digit

import zoo
from zoo import pretrained
from zoo.card import checksum, headline, markdown, over_seeds_of, text
from zoo.errors import CheckpointError, ConfigError
from zoo.evaluate import data_of, disagreements, evaluate, metrics_of_test
from zoo.weight_files import read_card_of

NAMES = zoo.list_models(pretrained=True)
CARDS = {name: read_card_of(WEIGHTS / f"{name}.safetensors") for name in NAMES}
SAID = (
    "name title model arguments transform experiment command seed data data_arguments data_licence data_sha256 metrics"
)
SAID += " promised seeds hardware minutes parameters licence source deviations limits version torch store format"


def test_all_that_were_to_ship_do_and_are_small() -> None:
    assert NAMES == list(SHIPS)
    sizes = [(WEIGHTS / f"{name}.safetensors").stat().st_size for name in NAMES]
    assert sizes == [pretrained.index()[name]["bytes"] for name in NAMES]
    assert sum(sizes) <= 16_000_000
    assert {path.stem for path in WEIGHTS.glob("*.safetensors")} == set(NAMES)
    for name in NAMES:
        raw = (WEIGHTS / f"{name}.safetensors").read_bytes()
        assert hashlib.sha256(raw).hexdigest() == pretrained.index()[name]["sha256"]


@pytest.mark.parametrize("name", NAMES)
def test_a_card_says_all_that_is_asked_of_it(name: str) -> None:
    card = CARDS[name]
    assert [key for key in SAID.split() if card.get(key) in (None, "")] == []
    assert card["name"] == name and card["experiment"] == SHIPS[name].experiment
    assert card["command"] == f"python train.py experiment={card['experiment']} seed={card['seed']}"
    assert not {"root", "cache"} & card["data_arguments"].keys()
    for metric, (low, high) in card["promised"].items():
        assert low <= card["metrics"][metric] <= high  # also as it is stored
    (metric,) = card["promised"]
    assert over_seeds_of(card).startswith(f"{metric} {summary(card['experiment'])}, seeds ")
    assert headline(card) in (f"{metric} {card['metrics'][metric]:.4f}", f"{metric} {card['metrics'][metric]:g}")
    for shown in (text(card), markdown(card)):
        shown = " ".join(shown.split())
        assert card["command"] in shown and card["data_sha256"] in shown and card["limits"] in shown
    assert str(ROOT) not in json.dumps(card)


def test_the_page_of_what_ships_is_what_the_files_say() -> None:
    assert (WEIGHTS / "README.md").read_text() == page(CARDS)


@pytest.mark.parametrize("name", NAMES)
def test_it_loads_in_eval_mode_and_answers(name: str) -> None:
    net = zoo.load(name)
    assert not net.training and net.card["name"] == name
    assert sum(p.numel() for p in net.parameters()) == net.card["parameters"]
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in net.parameters())
    kind = net.transform.get("kind")
    if kind == "image":
        stroke = torch.full((40, 40), 255, dtype=torch.uint8)
        stroke[5:35, 18:22] = 0
        answer = net.predict(stroke)
        assert 0 < answer.probability <= 1 and sum(answer.probabilities) <= 1.0001
        assert name.startswith("cifar10") or answer.label == "1"
    elif kind == "characters":
        written = "".join(net.generate("a", 30, generator=torch.Generator().manual_seed(0)))
        assert len(written) == 30 and set(written) <= set(net.vocabulary)
    elif kind in ("numbers", "symbols"):
        question, answer = {"xor": ("1,0", "1"), "pass-class": ([8, 9], "passed"), "recall-lstm": ("gab?", "g")}[name]
        assert net.predict(question).label == answer
    else:
        assert len(net.nearest("king", 3)) == 3 and net.analogy("king", "man", "woman")[0][0] == "queen"


SETS = ("mnist", "cifar10", "shakespeare", "irish", "english")  # of each of which one process reads the data


def group(name: str) -> pytest.MarkDecorator:
    first = name.partition("-")[0]
    return pytest.mark.xdist_group(first if first in SETS else "pretrained")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[needs(name.replace("-", "_")), group(name)]) for name in NAMES]
)
def test_its_figure_measured_anew_is_what_the_card_says(name: str) -> None:
    net = zoo.load(name)
    card = copy.deepcopy(net.card)
    caches = {"cifar10": FOUND_PICTURES, "corpus": FOUND_PICTURES.parent / "corpora"}
    if card["data"] in caches:
        card["data_arguments"]["cache"] = str(caches[card["data"]])
    data = data_of(card)
    assert checksum(data) == card["data_sha256"]
    found = evaluate(net, data)
    stated = metrics_of_test(card)
    assert disagreements(stated, found) == []
    (metric,) = card["promised"]
    stated[metric] += 0.07 * max(1.0, abs(stated[metric]))
    assert disagreements(stated, found)[0].startswith(f"{metric}: the card says ")


@needs_mnist
def test_evaluation_without_lightning_finds_what_a_run_has_found(train: Callable[..., dict[str, Any]]) -> None:
    short = ["figures=false", "logger=csv", "trainer.max_steps=3"]
    for given in (["experiment=digits_lenet"], ["experiment=pydoc_lstm"], ["experiment=pydoc_skipgram"]):
        result = train(*given, *short, f"run_dir={given[0][11:]}")
        net = zoo.load(given[0][11:])
        found = evaluate(net, data_of(net.card))
        stated = {name: value for name, value in result["metrics"].items() if name.startswith("test/")}
        assert found == pytest.approx(stated, rel=1e-5)


def test_a_name_that_is_none_is_told_the_nearest() -> None:
    with pytest.raises(CheckpointError, match="no network is called 'mnist-lennet' .did you mean 'mnist-lenet'"):
        zoo.load("mnist-lennet")


def test_a_damaged_file_of_the_zoo_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = bytearray((WEIGHTS / "xor.safetensors").read_bytes())
    raw[-1] ^= 1
    (tmp_path / "xor.safetensors").write_bytes(raw)
    pretrained.index()  # as it is there
    monkeypatch.setattr(pretrained, "files", lambda package: tmp_path)
    with pytest.raises(CheckpointError, match="xor.safetensors is damaged: its SHA-256 is not the one of index.json"):
        zoo.load("xor")


def test_another_number_of_classes_starts_the_output_layer_anew() -> None:
    old, new = zoo.load("mnist-lenet"), zoo.create("lenet", num_classes=5, pretrained="mnist-lenet")
    assert new.training and new.output.out_features == 5
    for name, weight in old.state_dict().items():
        assert name.startswith("output.") or torch.equal(new.state_dict()[name], weight), name
    stroke = torch.eye(28, dtype=torch.uint8) * 255
    assert new.eval().predict(stroke).label in "01234"  # it takes the same pictures
    with pytest.raises(CheckpointError, match="does not fit"):  # not a head, but all there is
        zoo.create("word2vec", pretrained="english-skipgram", words=["a", "b"], counts=[2, 1])
    same = zoo.create("lenet", pretrained="mnist-lenet", dropout=0.3)
    assert torch.equal(same.output.weight, old.output.weight) and same.dropout == 0.3
    with pytest.raises(CheckpointError, match="holds model=lenet, not mlp"):
        zoo.create("mlp", pretrained="mnist-lenet")
    with pytest.raises(CheckpointError, match=r"has \(6, 1, 5, 5\) for 'conv1.weight', the network \(6, 3, 5, 5\)"):
        zoo.create("lenet", pretrained="mnist-lenet", in_channels=3)
    with pytest.raises(ConfigError, match="no argument 'num_clases'"):
        zoo.create("lenet", pretrained="mnist-lenet", num_clases=5)


def test_a_run_starts_from_it(
    train: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from test_pictures import write_tree

    short = ["figures=false", "logger=csv", "trainer.max_steps=1"]
    result = train("experiment=digits_lenet", "pretrained=mnist-lenet", "optimizer.lr=1e-9", *short)
    assert result["metrics"]["test/acc"] > 0.5  # without a step on these digits, which look otherwise; chance: 0.1
    assert "start anew" not in capsys.readouterr().err
    write_tree(tmp_path / "pets")
    given = ["model=alexnet", "model.variant=cifar", "data=image_folder", "data.root=pets", "data.image_size=32"]
    train(*given, "pretrained=cifar10-alexnet", "optimizer.lr=1e-9", "run_dir=pets_run", *short)
    assert "classifier.6.weight and classifier.6.bias start anew" in capsys.readouterr().err
    old, new = zoo.load("cifar10-alexnet"), zoo.load("pets_run")
    assert torch.allclose(old.features[0].weight, new.features[0].weight, atol=1e-6)
    assert new.classifier[6].out_features != 10


def test_weights_of_torchvision_load(tmp_path: Path) -> None:
    ours = zoo.create("alexnet", num_classes=3, variant="torchvision").eval()
    torch.save(ours.state_dict(), tmp_path / "alexnet.pth")
    net = zoo.load(tmp_path / "alexnet.pth")
    x = torch.randn(1, 3, 96, 96)
    assert torch.equal(net(x), ours(x))
    assert net.transform["size"] == 224 and net.card["arguments"]["variant"] == "torchvision"
    assert net.predict(torch.zeros(300, 200, 3, dtype=torch.uint8)).label in "012"
    assert pretrained.imagenet_classes()[:2] == ["tench", "goldfish"]
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="other.pth is not a checkpoint of the zoo: .* torchvision's AlexNet"):
        zoo.load(tmp_path / "other.pth")


def test_torch_hub_gives_the_same() -> None:
    net = torch.hub.load(str(ROOT), "mnist_lenet", source="local")
    x = torch.randn(2, 1, 28, 28)
    assert torch.equal(net(x), zoo.load("mnist-lenet")(x))
    fresh = torch.hub.load(str(ROOT), "lenet", source="local", num_classes=5, pretrained="mnist-lenet")
    assert fresh.output.out_features == 5
    import hubconf

    entries = {name for name, value in vars(hubconf).items() if callable(value) and not name.startswith("_")}
    assert entries == {name.replace("-", "_") for name in [*NAMES, *zoo.list_models()]}


def test_loading_and_asking_imports_neither_hydra_nor_lightning() -> None:
    code = (
        "import sys, zoo; assert 'torch' not in sys.modules; net = zoo.load('mnist-lenet');"
        "import torch; net.predict(torch.eye(28, dtype=torch.uint8) * 255);"
        "bad = {'hydra', 'omegaconf', 'lightning', 'torchvision', 'matplotlib', 'sklearn', 'scipy'} & set(sys.modules);"
        "assert not bad, bad"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env=environment)


def test_loading_and_asking_takes_little_more_than_importing_torch(tmp_path: Path) -> None:
    """1.16 times as long where nothing else runs (tests/benchmarks/pretrained.py); the best of four pairs here."""
    digit(7).save(tmp_path / "seven.png")
    ours = f"import sys; sys.path.insert(0, {str(ROOT)!r});"
    ours += "import zoo; print(zoo.load('mnist-lenet').predict('seven.png'))"
    pairs = [
        [seconds_alone([sys.executable, "-c", code], tmp_path) for code in (ours, "import torch")] for _ in range(4)
    ]
    assert min(one / other for one, other in pairs) < 1.3


def test_a_loaded_network_can_be_copied_and_pickled(tmp_path: Path) -> None:
    net = zoo.load("mnist-lenet")
    torch.save(net, tmp_path / "whole.pt")
    stroke = torch.eye(28, dtype=torch.uint8) * 255
    for again in (copy.deepcopy(net), torch.load(tmp_path / "whole.pt", weights_only=False)):
        assert again.predict(stroke) == net.predict(stroke)
