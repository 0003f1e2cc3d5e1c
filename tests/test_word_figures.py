"""The figures of word vectors show the words, offsets and neighbours that are there, and say how alike they are."""

import csv
import math
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from matplotlib.colors import to_hex
from torch import Tensor

from zoo.models.word_vectors import WordVectors
from zoo.word_figures import (
    CAPITAL,
    COUNTRY,
    GREY,
    capitals,
    longitude_rank,
    longitudes,
    neighbours,
    offset_cosine,
    places,
    principal_components,
    word_figures,
)

ROWS = [tuple(row) for row in csv.reader((files("zoo.files") / "capitals.csv").read_text().splitlines())][1:]
EAST = torch.tensor([float(row[2]) for row in ROWS])


def network(of_countries: Tensor, of_capitals: Tensor, rows: list = ROWS) -> WordVectors:
    """All countries, a word that is no place, then all capitals."""
    words = [row[0] for row in rows] + ["water"] + [row[1] for row in rows]
    return WordVectors(words, torch.cat([of_countries, torch.ones(1, of_countries.shape[1]), of_capitals]))


def on_a_circle(angles: Tensor, offset: float) -> tuple[Tensor, Tensor]:
    """Vectors (P, 3) of equal length at these angles, capitals `offset` beside their countries along the third axis."""
    side = torch.full_like(angles, offset / 2)
    return tuple(torch.stack([angles.cos(), angles.sin(), sign * side], 1) for sign in (-1, 1))


def along(values: Tensor) -> Tensor:
    """Vectors (P, 3) of length 1 whose first principal component grows with the values, which lie in [-1, 1]."""
    angles = values * math.pi / 3
    return torch.stack([angles.sin(), angles.cos(), torch.zeros_like(angles)], 1)


def test_the_table_has_each_word_once_and_longitudes_of_the_globe() -> None:
    words = [word for row in ROWS for word in row[:2]]
    assert len(ROWS) >= 40 and len(set(words)) == len(words)
    assert all(word.isalpha() and word.islower() for word in words)
    assert [row[0] for row in ROWS] == sorted(row[0] for row in ROWS)  # else wrong pairs would not be unrelated
    assert -180 <= float(EAST.min()) and float(EAST.max()) <= 180


def test_equal_offsets_have_cosine_one_and_wrong_pairs_less() -> None:
    angles = torch.arange(len(ROWS)) * 2.4  # neighbours of the alphabet far from each other
    true, wrong = offset_cosine(network(*on_a_circle(angles, offset=1.0)))
    assert true == pytest.approx(1, abs=1e-5)
    assert wrong < 0.6


def test_wrong_pairs_are_each_country_with_each_other_capital() -> None:
    torch.manual_seed(0)
    rows = ROWS[:6]
    vectors = torch.nn.functional.normalize(torch.randn(2, 6, 4), dim=2)
    expected = []
    for shift in range(1, 6):
        offsets = [vectors[1, (i - shift) % 6] - vectors[0, i] for i in range(6)]
        expected += [
            float(torch.cosine_similarity(offsets[i], offsets[j], dim=0)) for i in range(6) for j in range(6) if i != j
        ]
    of_known = offset_cosine(network(vectors[0] * 3, vectors[1] * 0.5, rows))  # lengths make no difference
    assert of_known[1] == pytest.approx(sum(expected) / len(expected), abs=1e-5)


@pytest.mark.parametrize("sign", [1, -1])
def test_countries_laid_along_longitude_have_rank_correlation_one(sign: int) -> None:
    vectors = along(sign * (2 * (EAST - EAST.min()) / (EAST.max() - EAST.min()) - 1))
    net = network(vectors, torch.rand(len(ROWS), 3))
    assert longitude_rank(net) == pytest.approx(1)
    axes = longitudes(net, "net").axes[0]
    assert axes.get_title().endswith("rank correlation with longitude 1.00")
    component, height = axes.lines[0].get_data()
    assert all(a > b for a, b in zip(component, component[1:], strict=False))  # from the lowest line upwards: westwards
    names = [label.get_text().split()[0] for label in axes.get_yticklabels()]
    east = {country: float(longitude) for country, _, longitude in ROWS}
    assert [east[name] for name in names] == sorted((east[name] for name in names), reverse=True)
    assert list(height) == list(axes.get_yticks())


def test_a_longitude_without_relation_has_a_low_rank_correlation() -> None:
    order = torch.randperm(len(ROWS), generator=torch.Generator().manual_seed(0))
    assert longitude_rank(network(along(torch.linspace(-1, 1, len(ROWS))[order]), torch.rand(len(ROWS), 3))) < 0.4


def test_points_and_arrows_of_the_commonest_pairs_stand_where_the_components_say() -> None:
    torch.manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(2, len(ROWS), 5) + torch.tensor([[[0.0]], [[1.0]]]), dim=2)
    net = network(*vectors)  # in the order of the alphabet, which stands for how common the words are
    axes = capitals(net, "net").axes[0]
    points = principal_components(vectors.flatten(0, 1), 2)
    points = (points * points[len(ROWS) :, 0].mean().sign()).view(2, -1, 2)[:, :20]
    arrows, countries, cities = axes.collections
    torch.testing.assert_close(torch.tensor(countries.get_offsets()).float(), points[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.tensor(cities.get_offsets()).float(), points[1], atol=1e-4, rtol=0)
    lengths = torch.stack([torch.tensor(arrows.U), torch.tensor(arrows.V)], 1).float()
    torch.testing.assert_close(lengths, points[1] - points[0], atol=1e-4, rtol=0)
    labels = {text.get_text(): (text.xy, to_hex(text.get_color())) for text in axes.texts}
    assert list(labels) == [row[0] for row in ROWS[:20]] + [row[1] for row in ROWS[:20]]
    for i, (country, capital, _) in enumerate(ROWS[:20]):
        assert labels[country] == (pytest.approx(points[0, i].tolist(), abs=1e-4), COUNTRY)
        assert labels[capital] == (pytest.approx(points[1, i].tolist(), abs=1e-4), CAPITAL)
    true, wrong = offset_cosine(net)
    assert axes.get_title() == (
        f"net: 20 of {len(ROWS)} pairs\nmean cosine between two offsets {true:.2f}, of wrong pairs {wrong:.2f}"
    )


def test_a_pair_is_as_common_as_its_rarer_word() -> None:
    countries, cities = ([row[kind] for row in ROWS] for kind in (0, 1))
    words = [*countries, *cities[::-1]]  # the last capital of the table is the commonest
    known = places(WordVectors(words, torch.rand(len(words), 3)))
    assert known.drawn == list(range(len(ROWS)))[:-21:-1]
    assert known.names == [row[:2] for row in ROWS] and known.longitudes == pytest.approx(EAST.tolist())


def test_no_name_covers_another_even_where_all_points_are_close() -> None:
    angles = torch.arange(len(ROWS)) * 0.001
    angles[0] = 3  # which leaves little of the picture's height to the others
    figure = capitals(network(*on_a_circle(angles, offset=1.0)), "net")
    figure.draw_without_rendering()
    boxes = [super(type(text), text).get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 40
    assert not any(a.shrunk(0.98, 0.9).count_overlaps(boxes[:i]) for i, a in enumerate(boxes))


@pytest.mark.parametrize("rows", [ROWS[:4], []])
def test_of_fewer_than_five_pairs_nothing_is_said(rows: list, tmp_path: Path) -> None:
    halves = [*rows, ("italy", "milan", "0"), ("gaul", "paris", "0")]  # of these pairs one word only is known
    net = network(torch.rand(len(halves), 3), torch.rand(len(halves), 3), halves)
    assert offset_cosine(net) is None and longitude_rank(net) is None
    assert capitals(net, "net") is None and longitudes(net, "net") is None
    assert word_figures(net, tmp_path, "net") == {}


def test_five_pairs_are_enough_and_one_dimension_is_not(tmp_path: Path) -> None:
    rows = ROWS[:5]
    assert set(word_figures(network(torch.rand(5, 3), torch.rand(5, 3), rows), tmp_path, "net")) == {
        "capitals",
        "longitudes",
    }
    assert word_figures(network(torch.rand(5, 1), torch.rand(5, 1), rows), tmp_path, "net") == {}


def write_reports(folder: Path, steps: list[int], words: int) -> None:
    """Of each step and word five neighbours that name both; from the second half of the steps on two stay."""
    (folder / "reports").mkdir()
    for k, step in enumerate(steps):
        kept = 2 if k >= len(steps) / 2 else 0
        lines = [
            f"q{w}: " + ", ".join(f"q{w}kept{i}" if i < kept else f"q{w}step{step}no{i}" for i in range(5))
            for w in range(words)
        ]
        (folder / "reports" / f"{step:07d}.txt").write_text("".join(line + "\n" for line in lines))


def test_the_cells_hold_the_words_of_the_reports(tmp_path: Path) -> None:
    steps = [0, 100, 200, 300, 400, 9_000_000, 9_000_100, 12_345_678]  # of seven and eight digits
    write_reports(tmp_path, steps, words=10)
    figure = neighbours(tmp_path, "net")
    axes = figure.axes[0]
    columns = [int(label.get_text().removeprefix("step ").replace(",", "")) for label in axes.get_xticklabels()]
    assert columns == [0, 200, 400, 9_000_000, 12_345_678]
    cells: dict = {}
    for text in sorted(axes.texts, key=lambda text: text.get_position()[1]):  # downwards
        x, y = text.get_position()
        cells.setdefault((round(y), x), []).append((text.get_text(), to_hex(text.get_color())))
    assert {key for key in cells if key[1] == 0} == {(row, 0) for row in range(8)}
    assert len(cells) == 8 * 6
    for (row, column), cell in cells.items():
        if column == 0:
            assert cell[0][0] == f"q{row}"
            continue
        step = columns[int(column) - 1]
        line = (tmp_path / "reports" / f"{step:07d}.txt").read_text().splitlines()[row]
        assert [word for word, _ in cell] == line.split(": ")[1].split(", ")
        strong = [word for word, colour in cell if colour == CAPITAL]
        assert strong == [word for word, _ in cell if "kept" in word or step == columns[-1]]
        assert all(colour in (CAPITAL, GREY) for _, colour in cell)


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_as_many_columns_as_reports_but_at_most_five(count: int, tmp_path: Path) -> None:
    write_reports(tmp_path, [10 * i for i in range(count)], words=1)
    labels = [label.get_text() for label in neighbours(tmp_path, "net").axes[0].get_xticklabels()]
    assert len(set(labels)) == len(labels) == min(count, 5)
    assert labels[0] == "step 0" and labels[-1] == f"step {10 * (count - 1)}"


def test_reports_of_another_form_are_passed_over(tmp_path: Path) -> None:
    assert neighbours(tmp_path, "net") is None
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "0000000.txt").write_text("To be, or not to be: that\nis the question\n")
    (tmp_path / "reports" / "0000001.txt").write_text("")
    (tmp_path / "reports" / "0000003.txt").write_text("king: queen\nand then the text goes on\n")
    assert neighbours(tmp_path, "net") is None
    (tmp_path / "reports" / "0000002.txt").write_text("king: queen, prince\n")
    assert [text.get_text() for text in neighbours(tmp_path, "net").axes[0].texts] == ["king", "queen", "prince"]


def test_words_are_drawn_as_text_not_as_formulas(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "0000000.txt").write_text("$x$: a$b$, \u6f22\n", encoding="utf-8")
    figure = neighbours(tmp_path, "net")
    figure.draw_without_rendering()
    assert [text.get_text() for text in figure.axes[0].texts] == [r"\$x\$", r"a\$b\$", "\u00b7"]
