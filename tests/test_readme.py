"""README and docs, run: their commands in their order, their Python, the layout, the table against the evidence."""

import re
import shlex
import statistics
from pathlib import Path

import pytest
import torch
from conftest import EXPERIMENTS, FETCHED, ROOT, there
from record import SEEDS, evidence, header, seconds, summary
from test_items import digit
from test_pictures import write_tree

from zoo.cli import command
from zoo.lectures.ledger import check, load_claims
from zoo.lectures.pages import explained, load_drawings
from zoo.registry import load_all
from zoo.shell import main as zoo_command

README = (ROOT / "README.md").read_text()
PAGES = [README, *(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")))]
BLOCKS = [block for page in PAGES for block in re.findall(r"```(sh|python)\n(.*?)```", page, re.DOTALL)]


def test_the_commands_and_the_python_run_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Shortened to two steps each; the two set-up commands are what CI runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text(README)  # the text of the user's own that a command trains on
    write_tree(tmp_path / "pets")  # and pictures
    digit(7).save("seven.png")
    ran = 0
    for language, text in BLOCKS:
        if language == "python" and "@register" not in text:  # that one is run in test_package.py
            exec(compile(text, "README.md", "exec"), {})
            ran += 1
        for line in text.splitlines() if language == "sh" else []:
            if line.startswith("zoo "):
                if line != "zoo evaluate mnist-lenet" or there("mnist"):
                    with pytest.raises(SystemExit) as ended:
                        zoo_command(shlex.split(line)[1:])
                    assert ended.value.code == 0, line
                    ran += 1
                continue
            if not line.startswith("python train.py"):
                continue
            arguments = shlex.split(line)[2:]
            if any(name in argument and not there(name) for argument in arguments for name in FETCHED):
                continue
            if "trainer=gpu" in arguments and not torch.cuda.is_available():
                continue
            short = [] if {"--help", "--cfg"} & set(arguments) else ["figures=false", "logger=csv"]
            if short and "ckpt_path=last" not in arguments:
                short.append("trainer.max_steps=2")
            elif short:  # the run before it was shortened and is done: it is continued to the same end
                (tmp_path / "runs" / "mine" / "result.json").unlink()
                short.append("trainer.max_steps=4")
            command([*arguments, *short])
            ran += 1
    assert ran >= 20
    assert "usage: python train.py" in capsys.readouterr().out


def test_the_set_up_commands_are_there_once_each() -> None:
    lines = [line for line in README.splitlines() if line.startswith("python3 -m venv")]
    assert len(lines) == 2
    assert lines[0].endswith(".venv/bin/python train.py")
    assert lines[1].endswith(".venv/bin/python -m pytest -n 2 --dist loadgroup")


def test_every_choice_is_named() -> None:
    for group, classes in load_all().items():
        (row,) = [line for line in README.splitlines() if line.startswith(f"| `{group}` |")]
        assert sorted(re.findall(r"`(\w+)`", row.split("|")[2])) == sorted(classes), group


def numbers(text: str) -> list[str]:
    """`4,800,000,000`, `8.9e-16`, `55` of 55x55."""
    return re.findall(r"\d[\d,]*(?:\.\d+)?(?:e-?\d+)?", text)


def test_the_ten_rows_say_what_the_ledger_says() -> None:
    """Every number in the right column of the table is, rounded, one that `zoo ledger show` prints of the row."""
    rows = re.findall(r"^\| ([UCRSI]\d\d) \| (.*) \| (.*) \|$", README, re.MULTILINE)
    assert len(rows) == 10
    load_drawings()
    for id, _, computed in rows:
        found = [float(text.replace(",", "")) for text in numbers(explained(check(load_claims()[id])))]
        for text in numbers(computed):
            said = float(text.replace(",", ""))
            digits = len(re.sub(r"\D", "", text.partition("e")[0]))
            assert any(float(f"{number:.{digits}g}") == said for number in found), f"{id}: {text}"


def test_it_is_short_and_its_links_lead_somewhere() -> None:
    assert len(README.splitlines()) <= 250
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_cells_rank_as_the_lectures_say() -> None:
    """Barcelona R18: the GRU does as well with 3/4 of the recurrent parameters, here within 3 %; the RNN does not."""
    runs = {cell: evidence(f"shakespeare_{cell}") for cell in ("rnn", "gru", "lstm")}
    loss = {cell: statistics.mean(run["metrics"]["test/loss"] for run in lines) for cell, lines in runs.items()}
    assert loss["gru"] <= 1.03 * loss["lstm"]
    assert loss["rnn"] > max(loss["gru"], loss["lstm"])
    outside = runs["lstm"][0]["parameters"] - 4 * 512 * (128 + 512 + 2)  # embedding and output, alike in both
    assert (runs["gru"][0]["parameters"] - outside) * 4 == (runs["lstm"][0]["parameters"] - outside) * 3
    assert all(run["seconds"]["command"] <= 20 * 60 for lines in runs.values() for run in lines)


def test_attention_recalls_over_every_gap_alike() -> None:
    """Shanghai S41: the plain network's accuracy falls with the gap, that of attention stays."""
    curves = {}
    for name in ("recall_rnn", "recall_transformer"):
        runs = [run["metrics"] for run in evidence(name)]
        gaps = [metric for metric in runs[0] if metric.startswith("test/acc_gap_")]
        curves[name] = [statistics.mean(run[gap] for run in runs) for gap in gaps]
    assert min(curves["recall_transformer"]) > 0.99
    assert curves["recall_rnn"][0] > 0.9 > 0.2 > curves["recall_rnn"][-1]


def test_pre_training_helps_where_labels_are_few() -> None:
    """C23; and against what was published before dropout, not where there are enough."""
    pretrained, control = (
        [run["metrics"]["test/acc"] for run in evidence(name)] for name in ("mnist_sda", "mnist_sda_control")
    )
    difference = statistics.mean(pretrained) - statistics.mean(control)
    assert abs(difference) < 2 * max(map(statistics.stdev, (pretrained, control)))
    for run in evidence("mnist_few_labels"):
        assert all(run["metrics"][f"test/advantage/{count}"] > 0.005 for count in (100, 300, 1000))


def test_counting_does_about_as_well_as_learning() -> None:
    """Prague C12: rank correlations within 0.1 of either network's, and at least their share of the analogies."""
    means = {
        (name, score): statistics.mean(run["metrics"][f"test/{score}"] for run in evidence(f"english_{name}"))
        for name in ("svd", "skipgram", "cbow")
        for score in ("wordsim353", "analogies")
    }
    for name in ("skipgram", "cbow"):
        assert abs(means["svd", "wordsim353"] - means[name, "wordsim353"]) < 0.1
        assert means["svd", "analogies"] >= means[name, "analogies"]


def test_the_bag_of_words_is_quoted() -> None:
    runs = evidence("reviews_lstm") + evidence("reviews_transformer")
    bags = {run["metrics"]["test/acc_bag_of_words"] for run in runs}
    assert len(bags) == 1 and f"bag of the same words ({bags.pop():.4f})" in README


def lacking(name: str) -> str | None:
    """What an experiment could not be run for want of; it has no evidence yet."""
    sets = {"text8": "no text8", "imagenet": "no ImageNet"}
    return "no GPU" if name.endswith("_gpu") else sets.get(name.partition("_")[0])


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if lacking(name)])
def test_what_was_not_run_is_said_to_be_so(name: str) -> None:
    """Once somebody who has what they need records them, they move to the test below."""
    (row,) = [line for line in README.splitlines() if f"| `{name}` |" in line]
    assert row.endswith(f"| not run: {lacking(name)} was at hand | |")
    assert "Not run yet" in (ROOT / "configs" / "experiment" / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if not lacking(name)])
def test_table_and_header_quote_the_evidence(name: str) -> None:
    lines = evidence(name)
    assert [line["seed"] for line in lines] == list(range(SEEDS.get(name, 3)))
    assert all(line["experiment"] == name for line in lines)
    (row,) = [line for line in README.splitlines() if f"| `{name}` |" in line]
    assert f"| {summary(name)} | {seconds(name)} |" in row
    assert header(name) in (ROOT / "configs" / "experiment" / f"{name}.yaml").read_text()
    from zoo.config import compose_settings

    expect = compose_settings([f"experiment={name}"]).expect
    assert lines[0]["expect"] == expect
    (bounds,) = expect.values()
    for bound in bounds:
        assert bound in (0, 1) or f"{bound:g}" in row.split("|")[4], bound
