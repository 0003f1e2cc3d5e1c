"""Figures show what they say: counts, filters, the mistakes and their order."""

import inspect
import math
from pathlib import Path

import pytest
import torch
from conftest import needs

import zoo
from zoo.attention_figures import attention_figures, position_heat_map
from zoo.figures import confusion_matrix, conv_filters, draw_all, learning_curves, read_metrics, worst_mistakes
from zoo.registry import build, load_all

LOGITS = torch.tensor([[3.0, 0, 0], [0, 5, 0], [0, 1, 0], [0, 0, 2]])
TARGETS = torch.tensor([0, 0, 0, 2])  # right, surely wrong, less surely wrong, right


def test_confusion_matrix_counts_true_against_predicted() -> None:
    axes = confusion_matrix(LOGITS, TARGETS, "net").axes[0]
    shown = {(int(t.get_position()[1]), int(t.get_position()[0])): t.get_text() for t in axes.texts}
    assert shown == {(0, 0): "1", (0, 1): "2", (2, 2): "1"}
    assert axes.get_title() == "net: 2 of 4 wrong (50.00%)"


def test_worst_mistakes_come_in_the_order_of_sureness() -> None:
    figure = worst_mistakes(LOGITS, (torch.zeros(4, 1, 5, 5), TARGETS), "net")
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    sure, less = (LOGITS[i].softmax(0)[1] for i in (1, 2))
    assert [title.split("\n")[0] for title in titles] == [f"says 1 ({sure:.0%})", f"says 1 ({less:.0%})"]


def test_a_net_without_mistakes_has_an_empty_figure() -> None:
    figure = worst_mistakes(LOGITS[:1], (torch.zeros(1, 1, 5, 5), TARGETS[:1]), "net")
    assert figure.get_suptitle() == "net: no mistakes"


@pytest.mark.parametrize("count", [1, 6, 16, 20])
def test_every_filter_is_drawn_on_one_scale(count: int) -> None:
    weight = torch.randn(count, 1, 5, 5)
    images = [axes.images[0] for axes in conv_filters(weight, "net").axes if axes.images]
    assert len(images) == count
    assert {image.get_clim() for image in images} == {(-float(weight.abs().max()), float(weight.abs().max()))}


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
        ("lenet", "digits", {"learning_curves", "confusion_matrix", "worst_mistakes", "conv1_filters"}),
        ("mlp", "digits", {"learning_curves", "confusion_matrix", "worst_mistakes"}),
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
