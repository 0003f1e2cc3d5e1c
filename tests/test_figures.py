"""Figures show what they say: counts, filters, the mistakes and their order."""

import inspect
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import needs

import zoo
from zoo.attention_figures import attention_figures, position_heat_map
from zoo.data.dataset import DataSet
from zoo.figures import (
    confusion_matrix,
    conv_filters,
    draw_all,
    learning_curves,
    read_metrics,
    surest_mistakes,
    worst_mistakes,
)
from zoo.registry import build, load_all

LOGITS = torch.tensor([[3.0, 0, 0], [0, 5, 0], [0, 1, 0], [0, 0, 2]])
OF_A_PICTURE = {"top_five", "occlusion"}
TARGETS = torch.tensor([0, 0, 0, 2])  # right, surely wrong, less surely wrong, right


def test_confusion_matrix_counts_true_against_predicted() -> None:
    axes = confusion_matrix(LOGITS, TARGETS, "net").axes[0]
    shown = {(int(t.get_position()[1]), int(t.get_position()[0])): t.get_text() for t in axes.texts}
    assert shown == {(0, 0): "1", (0, 1): "2", (2, 2): "1"}
    assert axes.get_title() == "net: 2 of 4 wrong (50.00%)"


def test_classes_with_names_are_called_by_them() -> None:
    axes = confusion_matrix(LOGITS, TARGETS, "net", ["a cat", "a dog", "a price in $"]).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a cat", "a dog", r"a price in \$"]


def test_worst_mistakes_come_in_the_order_of_sureness() -> None:
    wrong = surest_mistakes(LOGITS, TARGETS)
    assert wrong.tolist() == [1, 2] and surest_mistakes(LOGITS, TARGETS, count=1).tolist() == [1]
    images = torch.rand(2, 1, 5, 5)
    figure = worst_mistakes(LOGITS[wrong], TARGETS[wrong], images, {}, "net")
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    sure, less = (LOGITS[i].softmax(0)[1] for i in (1, 2))
    assert [title.split("\n")[0] for title in titles] == [f"says 1 ({sure:.0%})", f"says 1 ({less:.0%})"]
    assert torch.equal(torch.tensor(figure.axes[1].images[0].get_array()), images[1, 0])


def test_mistakes_about_colour_pictures_show_their_colours_and_names() -> None:
    transform = {"mean": [0.5, 0.25, 0.0], "std": [0.5, 0.25, 1.0], "classes": ["cat", "dog"]}
    image = torch.zeros(3, 2, 2)  # of the mean colour
    image[:, 0, 0] = torch.tensor([9.0, -9.0, 0.5])  # beyond white and black
    figure = worst_mistakes(torch.tensor([[0.0, 0.0]]), torch.tensor([1]), image[None], transform, "net")
    shown = figure.axes[0].images[0].get_array()
    assert shown[0, 0].tolist() == [1.0, 0.0, 0.5] and shown[1, 1].tolist() == [0.5, 0.25, 0.0]
    assert figure.axes[0].get_title() == "says cat (50%)\nis dog (50%)"


def test_a_net_without_mistakes_has_an_empty_figure() -> None:
    assert not len(surest_mistakes(LOGITS[:1], TARGETS[:1]))
    assert worst_mistakes(LOGITS[:0], TARGETS[:0], [], {}, "net").get_suptitle() == "net: no mistakes"


@pytest.mark.parametrize("count", [1, 6, 16, 20])
def test_every_filter_is_drawn_on_one_scale(count: int) -> None:
    weight = torch.randn(count, 1, 5, 5)
    images = [axes.images[0] for axes in conv_filters(weight, "net").axes if axes.images]
    assert len(images) == count
    assert {image.get_clim() for image in images} == {(-float(weight.abs().max()), float(weight.abs().max()))}


def test_coloured_filters_are_drawn_in_colour_each_on_its_own_scale() -> None:
    weight = torch.randn(96, 3, 11, 11) * torch.arange(1, 97).view(-1, 1, 1, 1)
    first, second = conv_filters(weight, "alexnet", halves=2).axes
    assert (first.get_title(), second.get_title()) == ("first half", "second half")
    sheet = torch.tensor(second.images[0].get_array())  # 3 rows of 16 filters, a pixel of white between
    assert sheet.shape == (3 * 12 - 1, 16 * 12 - 1, 3) and (sheet[11] == 1).all()
    shown = sheet[12:23, 24:35].movedim(2, 0)  # row 1, column 2
    wanted = weight[48 + 16 + 2]
    torch.testing.assert_close(shown, (wanted - wanted.min()) / (wanted.max() - wanted.min()))
    (whole,) = conv_filters(weight, "net").axes
    assert whole.images[0].get_array().shape == (6 * 12 - 1, 16 * 12 - 1, 3)


def test_learning_curves_read_the_metrics(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,epoch,train/acc,train/loss,val/loss\n5,0.5,0.25,2.0,\n10,1,0.5,1.0,1.5\n")
    series = read_metrics(path)
    assert series == {
        "train/acc": [(0.5, 0.25), (1, 0.5)],
        "train/loss": [(0.5, 2.0), (1, 1.0)],
        "val/loss": [(1, 1.5)],
    }
    left, right = learning_curves(series, "net").axes
    assert [line.get_label() for line in left.lines] == ["train", "val"]
    assert left.get_yscale() == "log" and list(right.lines[0].get_ydata()) == [0.25, 0.5]


def test_a_loss_of_zero_is_drawn_without_logarithm() -> None:
    (left,) = learning_curves({"train/loss": [(1, 1.0), (2, 0.0)]}, "net").axes
    assert left.get_yscale() == "linear" and not math.isnan(left.get_ylim()[0])


@pytest.mark.parametrize(
    ("model", "data", "names"),
    [
        (
            "lenet",
            "digits",
            {"learning_curves", "confusion_matrix", "worst_mistakes", "conv1_filters", *OF_A_PICTURE, "feature_maps"},
        ),
        ("mlp", "digits", {"learning_curves", "confusion_matrix", "worst_mistakes", *OF_A_PICTURE}),
        ("transfer_lenet", "digits", {"learning_curves", "conv1_filters"}),
        ("mlp", "pass_class", {"learning_curves", "decision_regions"}),
        ("many_mlps", "xor", {"learning_curves", "decision_regions"}),
        ("char_transformer", "pydoc", {"learning_curves", "attention_maps", "positions"}),
        (
            "sequence_transformer",
            "recall",
            {"learning_curves", "attention_to_the_past", "positions", "accuracy_by_gap"},
        ),
        pytest.param(
            "sequence_transformer",
            "reviews",
            {"learning_curves", "attention_maps", "positions"},
            marks=needs("reviews"),
        ),
        pytest.param(
            "transformer",
            "multi30k",
            {"learning_curves", "attention_maps", "translations", "positions"},
            marks=needs("multi30k"),
        ),
        pytest.param("seq2seq", "multi30k", {"learning_curves", "translations"}, marks=needs("multi30k")),
    ],
)
def test_the_figures_that_fit_are_drawn(model: str, data: str, names: set[str], tmp_path: Path) -> None:
    items = build("data", data, {})
    items.load()
    takes = inspect.signature(load_all()["model"][model]).parameters
    wanted = {name: value for name, value in items.provides.items() if name in takes}
    (tmp_path / "metrics.csv").write_text("step,epoch,train/loss\n1,1,0.5\n")
    drawn = draw_all(zoo.create(model, **wanted), items, tmp_path, "title")
    assert {path.stem for path in drawn} == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


class ManyViews(DataSet):
    """Coloured pictures that are held as bytes, of which a network is given several views of floats."""

    def __init__(self, size: int, classes: int, views: int, items: int = 12):
        super().__init__(4)
        self.views = views
        self.test = self.train = (
            torch.randint(256, (items, size, size, 3), dtype=torch.uint8),
            torch.arange(items) % 2,
        )
        names = [f"class {i}" for i in range(classes)]
        self.transform = {"kind": "image", "channels": 3, "size": size, "mean": [0.4] * 3, "std": [0.2] * 3}
        self.transform["classes"] = names

    def ready(self, part: str, rows: slice | torch.Tensor = slice(None)) -> tuple[torch.Tensor, ...]:
        images, labels = super().ready(part, rows)
        images = (images / 255 - 0.4).movedim(-1, -3) / 0.2
        return (images[:, None].repeat(1, self.views, 1, 1, 1) if self.views > 1 else images), labels


@pytest.mark.parametrize(
    ("model", "arguments", "views", "names"),
    [
        (
            "alexnet",
            {"num_classes": 10, "variant": "cifar"},
            10,
            {"confusion_matrix", "worst_mistakes", "conv1_filters", "feature_maps"},
        ),
        ("alexnet", {"num_classes": 21, "variant": "cifar"}, 1, {"worst_mistakes", "conv1_filters", "feature_maps"}),
        ("mlp", {"num_classes": 2, "in_features": 3072}, 1, {"confusion_matrix", "worst_mistakes"}),
        ("autoencoder", {"in_features": 3072, "hidden_sizes": [4, 3]}, 1, {"reconstructions", "filters", "codes"}),
    ],
)
def test_coloured_pictures_are_drawn_as_the_network_takes_them(
    model: str, arguments: dict[str, Any], views: int, names: set[str], tmp_path: Path
) -> None:
    (tmp_path / "metrics.csv").write_text("step,epoch,train/loss\n1,1,0.5\n")
    network = zoo.create(model, **arguments)
    drawn = draw_all(network, ManyViews(32, arguments.get("num_classes", 2), views), tmp_path, "title")
    assert {path.stem for path in drawn} == names | {"learning_curves"} | (
        OF_A_PICTURE if model != "autoencoder" else set()
    )


def test_the_map_of_recall_shows_where_the_question_looks() -> None:
    data = build("data", "recall", {"gaps": [1, 4], "train_size": 100})
    data.load()
    torch.manual_seed(0)
    network = zoo.create("sequence_transformer", num_classes=8, vocab_size=10, in_features=0, context_length=7).eval()
    with torch.no_grad():
        figure = attention_figures(network, data, "net")["attention_to_the_past"]
        (weights,) = network.attention_maps(data.test[0][[0, 500]])
    for head, axes in enumerate(figure.axes):
        assert torch.equal(torch.tensor(axes.images[0].get_array()), weights[:, head, -1])
        assert axes.collections[0].get_offsets().tolist() == [[4, 0], [1, 1]]  # the symbols asked for
    assert data.test[0][0, 4] == data.test[1][0] and data.test[0][500, 1] == data.test[1][500]


def test_the_position_figure_shows_the_table_and_its_cosines() -> None:
    table = torch.tensor([[1.0, 0], [0, 2], [1, 1]])
    left, right = position_heat_map(table, "net").axes[:2]
    assert torch.equal(torch.tensor(left.images[0].get_array()), table)
    cosines = torch.tensor(right.images[0].get_array())
    torch.testing.assert_close(cosines[0], torch.tensor([1.0, 0.0, 0.5**0.5]))
