"""The ledger: all 233 rows are there, each is computed anew and can fail, and its pages say what the code says."""

import dataclasses
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import EXPERIMENTS, ROOT, Told

from zoo import __version__
from zoo.errors import ConfigError
from zoo.lectures import ledger
from zoo.lectures.ledger import LECTURES, TO_CORRECT, Claim, Within, chosen, differences, judgement, load_claims, shown
from zoo.lectures.pages import code, has_figure, load_drawings, markdown, table

CLAIMS = load_claims()
COUNTS = {"U": 49, "C": 65, "R": 21, "S": 60, "I": 38}
QUICK = [one.id for one in CLAIMS.values() if one.compute and not one.trains]
TRAINED = [one.id for one in CLAIMS.values() if one.compute and one.trains]


def computed_anew(*options: str) -> dict[str, dict[str, Any]]:
    """`zoo ledger check` in a process of its own, warnings as errors: the outcomes by id."""
    command = [sys.executable, "-W", "error", "-m", "zoo", "ledger", "check", *options, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert not done.stderr
    outcomes = {outcome["id"]: outcome for outcome in json.loads(done.stdout)}
    assert done.returncode == any(outcome["problems"] for outcome in outcomes.values())
    return outcomes


@pytest.fixture(scope="module")
def quick() -> dict[str, dict[str, Any]]:
    return computed_anew("--quick")


@pytest.fixture(scope="module")
def everything() -> dict[str, dict[str, Any]]:
    return computed_anew()


def test_every_row_is_there() -> None:
    assert list(CLAIMS) == [f"{letter}{i:02d}" for letter, count in COUNTS.items() for i in range(1, count + 1)]
    assert len(QUICK) + len(TRAINED) >= 190


@pytest.mark.xdist_group("ledger")
def test_what_trains_nothing_takes_less_than_twenty_seconds(quick: dict[str, dict[str, Any]]) -> None:
    assert quick.keys() == {one.id for one in CLAIMS.values() if not one.trains}
    assert sum(outcome["seconds"] for outcome in quick.values()) < 20


@pytest.mark.xdist_group("ledger")
@pytest.mark.parametrize("id", QUICK)
def test_a_row_holds_and_can_fail(id: str, quick: dict[str, dict[str, Any]]) -> None:
    holds_and_can_fail(CLAIMS[id], quick[id])


@pytest.mark.slow
def test_all_takes_less_than_ten_minutes(everything: dict[str, dict[str, Any]]) -> None:
    assert everything.keys() == CLAIMS.keys()
    assert sum(outcome["seconds"] for outcome in everything.values()) < 600


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("id", TRAINED)
def test_a_row_that_trains_holds_and_can_fail(id: str, everything: dict[str, dict[str, Any]]) -> None:
    holds_and_can_fail(CLAIMS[id], everything[id])


def holds_and_can_fail(one: Claim, outcome: dict[str, Any]) -> None:
    assert outcome["problems"] == []
    assert outcome["steps"], "a derivation has steps"
    value = outcome["value"]
    assert not differences(value, one.expected, one.tolerance)
    bends = list(bent(one.expected, value, one.tolerance))
    assert bends
    for expected in bends:
        assert differences(value, expected, one.tolerance), f"{shown(value)} passes for {shown(expected)}"
    if list(ledger.comparable(one.stated, value)) and one.verdict in ledger.AGREES:
        other = doubled(value) if one.verdict == "ok" else value
        assert judgement(dataclasses.replace(one, stated=other), value), "the verdict hangs on what the slide states"


def doubled(value: Any) -> Any:
    """Every number in it, twice as far from zero and one more."""
    if isinstance(value, dict):
        return {key: doubled(part) for key, part in value.items()}
    if isinstance(value, (tuple, list)):
        return [doubled(part) for part in value]
    return 2 * value + 1 if ledger.is_number(value) else value


def bent(expected: Any, value: Any, tolerance: float) -> Iterator[Any]:
    """What is expected, with one part changed by the least that must be seen."""
    if isinstance(expected, dict):
        for key, part in expected.items():
            yield from ({**expected, key: other} for other in bent(part, value[key], tolerance))
    elif isinstance(expected, Within):
        yield Within(math.nextafter(value, math.inf), math.inf)
        yield Within(-math.inf, math.nextafter(value, -math.inf))
    elif isinstance(expected, (tuple, list)):
        for i, part in enumerate(expected):
            yield from ([*expected[:i], other, *expected[i + 1 :]] for other in bent(part, value[i], tolerance))
    elif isinstance(expected, bool):
        yield not expected
    elif isinstance(expected, str):
        yield expected + "."
    elif isinstance(expected, int):
        yield from (expected - 1 - math.ceil(tolerance), expected + 1 + math.ceil(tolerance))
    else:
        step = 2 * tolerance + 1e-5 * abs(expected) + 1e-12
        yield from (expected - step, expected + step)


@pytest.mark.parametrize("one", CLAIMS.values(), ids=CLAIMS)
def test_a_row_is_whole_and_short(one: Claim) -> None:
    assert len(one.says) <= 100 and len(one.why) <= 240 and len(one.slide) <= 40
    assert not one.says.endswith(".") and (not one.why or one.why.endswith("."))
    assert set(one.experiments) <= set(EXPERIMENTS)
    if one.compute:
        assert code(one).startswith("def ") and len(code(one).splitlines()) <= 45


def test_every_experiment_belongs_to_a_row() -> None:
    assert {name for one in CLAIMS.values() for name in one.experiments} == set(EXPERIMENTS)


def test_the_page_is_what_the_code_says() -> None:
    """`zoo ledger --markdown > docs/ledger.md` writes it anew."""
    assert (ROOT / "docs" / "ledger.md").read_text() == markdown(list(CLAIMS.values()))


# --- the form of a claim ------------------------------------------------------------------------------------------


def row(**fields: Any) -> Claim:
    given = {"id": "I99", "slide": "1", "says": "2 + 2 = 4", "topic": "neuron", "verdict": "ok", "expected": 4}
    return Claim(**{**given, "compute": four, **fields})


def four() -> ledger.Steps:
    yield "2 + 2 = 4"
    return 4


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"id": "U01"}, "is there twice"),
        ({"id": "X01"}, "must be one of U, C, R, S, I and a number"),
        ({"verdict": "so so"}, "valid: ok, "),
        ({"topic": "weather"}, "valid: neuron, "),
        ({"verdict": "shown"}, "wants a reason"),
        ({"verdict": "wrong", "why": "No."}, "correction"),
        ({"correction": "5"}, "correction"),
        ({"expected": None}, "expects nothing"),
    ],
)
def test_a_half_filled_row_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ledger.enter(row(**fields))
    assert "I99" not in ledger.CLAIMS


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, ""),
        ({"expected": 5}, "computed 4, expected 5"),
        ({"expected": 4.0}, ""),
        ({"expected": True}, "computed 4, expected yes"),
        ({"expected": {"sum": 4}}, "expected the parts sum"),
        ({"expected": (4,)}, r"computed 4, expected \(4\)"),
        ({"expected": Within(3, 5)}, ""),
        ({"expected": Within(low=5)}, "computed 4, expected >= 5"),
        ({"stated": 4}, ""),
        ({"stated": 5}, "'ok', but the slide's 5 is not the computed 4"),
        ({"stated": 5, "rounding": 0.2}, ""),
        ({"stated": 5, "verdict": "wrong"}, ""),
        ({"stated": 4, "verdict": "wrong"}, "'wrong', but the slide's 4 is the computed 4"),
        ({"stated": 5, "verdict": "loose"}, ""),
    ],
)
def test_what_is_computed_is_compared(fields: dict[str, Any], problem: str) -> None:
    found = ledger.check(row(**fields))
    assert found.steps == ["2 + 2 = 4"] and found.value == 4
    assert bool(found.problems) == bool(problem)
    if problem:
        assert re.search(problem, found.problems[0])


def test_random_numbers_are_the_same_for_each_row() -> None:
    def draw() -> ledger.Steps:
        yield "a number"
        return float(torch.rand(()))

    before = torch.rand(3)
    values = [ledger.check(row(compute=draw, expected=Within(0, 1))).value for _ in range(2)]
    torch.manual_seed(0)
    assert values[0] == values[1] and torch.equal(torch.rand(3), before)


def test_slides() -> None:
    assert ledger.slides("39-42, 44") >= {"39", "40", "41", "42", "44"}
    assert ledger.slides("The Perceptron") == {"The Perceptron"}


# --- the shell ----------------------------------------------------------------------------------------------------


def test_ledger_lists_and_filters(told: Told) -> None:
    code, out, _ = told("ledger")
    assert code == 0 and all(lecture.title in out for lecture in LECTURES.values())
    rows = json.loads(told("ledger", "--json")[1])
    assert [r["id"] for r in rows] == list(CLAIMS)
    for option, value, field in (("--verdict", "wrong", "verdict"), ("--topic", "convolution", "topic")):
        found = json.loads(told("ledger", option, value, "--json")[1])
        assert {r["id"] for r in found} == {one.id for one in CLAIMS.values() if getattr(one, field) == value} != set()
    found = json.loads(told("ledger", "--lecture", "prague", "--slide", "50", "--json")[1])
    assert [r["id"] for r in found] == ["C38", "C39", "C40"]
    by_title = json.loads(told("ledger", "--slide", "the perceptron", "--verdict", "EXTRACTION", "--json")[1])
    assert [r["id"] for r in by_title] == ["S01"]


@pytest.mark.parametrize("typed", [["c38", "I08"], ["C38,i8"], ["C38 I08 "], ["C38,", "I08"]])
def test_ids_may_be_typed_in_many_ways(told: Told, typed: list[str]) -> None:
    assert [r["id"] for r in json.loads(told("ledger", *typed, "--json")[1])] == ["C38", "I08"]


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_the_table_is_as_wide_as_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = table(list(CLAIMS.values())).splitlines()
    assert max(width, 80) - 5 <= max(map(len, lines)) <= max(width, 80)


def test_check_says_which_row_fails(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = told("ledger", "check", "I08", "I29")
    assert code == 0 and "I08  wrong" in out and "all of them hold" in out
    monkeypatch.setitem(ledger.CLAIMS, "I08", dataclasses.replace(CLAIMS["I08"], expected=4_800_000))
    code, out, _ = told("ledger", "check", "I08", "I29")
    assert code == 1
    assert "I08  FAILS" in out and "computed 4,800,000,000, expected 4,800,000" in out
    assert "1 no longer hold: I08" in out


def test_a_row_that_raises_fails_alone(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> ledger.Steps:
        yield "a step"
        raise RuntimeError("no such layer")

    monkeypatch.setitem(ledger.CLAIMS, "I08", dataclasses.replace(CLAIMS["I08"], compute=fails))
    code, out, _ = told("ledger", "check", "I08", "I29")
    assert code == 1 and "raised RuntimeError: no such layer" in out and "I29  ok" in out


def test_ctrl_c_says_how_far_it_came(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> ledger.Steps:
        yield "a step"
        raise KeyboardInterrupt

    monkeypatch.setitem(ledger.CLAIMS, "I29", dataclasses.replace(CLAIMS["I29"], compute=interrupted))
    code, out, err = told("ledger", "check", "I08", "I29", "I30")
    assert code == 130 and out.count("\n") == 1
    assert re.fullmatch(r"stopped by SIGINT before I29: 1 of 1 rows computed in \d\.\d s; all of them hold\n", err)


def test_show(told: Told) -> None:
    code, out, _ = told("ledger", "show", "C38")
    assert code == 0
    for part in ("289,630", "derivation", "def nielsens_network", "python train.py experiment=mnist_nielsen"):
        assert part in out
    assert "\nexpected" not in out, "it is what was computed"
    assert json.loads(told("ledger", "show", "I08", "--json")[1])[0]["value"] == 4_800_000_000
    of_a_slide = json.loads(told("ledger", "show", "--lecture", "Bombay", "--slide", "10", "--json")[1])
    assert [outcome["id"] for outcome in of_a_slide] == ["I08", "I09", "I10", "I11"]


def test_errata_have_every_row_that_is_to_be_corrected(told: Told) -> None:
    code, out, _ = told("errata", "--lecture", "bombay")
    assert code == 0 and out.startswith("# Errata: Bombay")
    wanted = [one for one in chosen(lecture="bombay") if one.verdict in TO_CORRECT]
    for one in wanted:
        assert f"## {one.id}, slide {one.slide}: {one.verdict}\n" in out
        assert f"Correct: {one.correction}\n" in out.replace("\\", "").replace("&lt;", "<")
    assert '## S43, slide "Goal: identify and attend to ...": wrong' in told("errata", "--lecture", "shanghai")[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ledger", "C99"], "unknown claim 'C99'"),
        (["ledger", "chekc"], "unknown claim"),
        (["ledger", "show"], "wants an id, such as C38"),
        (["ledger", "show", "C38", "--verdict", "wrong"], "no claim fits all of that"),
        (["ledger", "check", "--slide", "999"], "no claim fits all of that"),
        (["ledger", "--lecture", "pargue"], "did you mean 'prague'?"),
        (["ledger", "--verdict", "bad"], "valid: ok, "),
        (["ledger", "--topic", "convolutions"], "did you mean 'convolution'?"),
        (["errata", "--lecture", "x"], "valid: cyprus, "),
        (["figure", "C99"], "unknown claim 'C99'"),
        (["figure", "C36", "C01"], "claim C01 has no figure; zoo figure lists those that have one"),
        (["figure", "C36", "--format", "gif"], "valid: svg, png, pdf"),
        (["figure", "C36", "--output", "mine.gif"], "unknown format 'gif'"),
        (["figure", "C36", "C38", "--output", "mine.svg"], "these are 2 figures"),
        (["trace", "xor", "--format", "html"], "valid: text, latex, json"),
        (["trace", "nor"], "did you mean 'xor'?"),
        (["reproduce"], "wants experiments, such as xor_mlp"),
        (["reproduce", "xor_mpl"], "did you mean 'xor_mlp'?"),
        (["reproduce", "xor_mlp", "--seeds", "0"], "--seeds must be >= 1"),
        (["reproduce", "--lecture", "x"], "valid: cyprus, "),
    ],
)
def test_a_mistake_is_one_line(told: Told, arguments: list[str], words: str) -> None:
    code, out, err = told(*arguments)
    assert code == ConfigError.exit_code and out == "" and err.count("\n") == 1 and words in err


# --- figures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "id", [pytest.param(id, marks=[pytest.mark.slow] if CLAIMS[id].trains else []) for id in load_drawings()]
)
def test_a_figure_is_drawn_with_its_command(told: Told, id: str) -> None:
    code, out, err = told("figure", id)
    assert (code, err) == (0, "") and out == f"{id}.svg\n"
    svg = Path(f"{id}.svg").read_text()
    assert f"zoo figure {id}" in svg and __version__ in svg and 5_000 < len(svg) < 3_000_000
    assert CLAIMS[id].compute or CLAIMS[id].why


@pytest.mark.parametrize(("form", "first"), [("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_figures_for_slides(told: Told, form: str, first: bytes) -> None:
    code, out, _ = told("figure", "C17", "--output", f"mine.{form}", "--json")
    assert code == 0 and json.loads(out) == {"claim": "C17", "figure": f"mine.{form}"}
    assert Path(f"mine.{form}").read_bytes().startswith(first), "the file is what its name says"
    assert told("figure", "c17,I10", "--format", form.upper())[1] == f"C17.{form}\nI10.{form}\n"
    assert Path(f"I10.{form}").read_bytes().startswith(first)


def test_those_that_have_a_figure_are_listed(told: Told) -> None:
    drawn = set(load_drawings())
    assert {one.id for one in CLAIMS.values() if has_figure(one)} == drawn
    assert {row["id"] for row in json.loads(told("figure", "--json")[1])} == drawn
    assert f"C36  prague     {CLAIMS['C36'].says}" in told("figure")[1].splitlines()


def test_a_figure_takes_the_place_of_a_file_only(told: Told) -> None:
    os.mkfifo("pipe.svg")
    code, _, err = told("figure", "C17", "--output", "pipe.svg")
    assert (code, err) == (6, "error: cannot write pipe.svg: it is no file\n") and Path("pipe.svg").is_fifo()
    Path("real.svg").touch()
    Path("link.svg").symlink_to("real.svg")
    assert told("figure", "C17", "--output", "link.svg")[0] == 0
    assert Path("link.svg").is_symlink() and "<svg" in Path("real.svg").read_text()
