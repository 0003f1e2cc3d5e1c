"""`zoo ...` as it is typed: what it prints, and that every mistake is one line and an exit code."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, WAIVED, Told, needs_mnist
from PIL import Image
from test_items import digit

import zoo
from zoo.shell import parser


def test_list(told: Told) -> None:
    code, out, _ = told("list")
    assert code == 0 and [line.split()[0] for line in out.splitlines()] == zoo.list_models(pretrained=True)
    rows = json.loads(told("list", "--json")[1])
    assert {row["name"]: row["model"] for row in rows}["mnist-lenet"] == "lenet"
    assert [line.split()[1:5] for line in out.splitlines() if line.startswith("mnist-lenet ")] == [
        ["250", "kB", "test/acc", "0.9922"]
    ]


@pytest.mark.parametrize("name", zoo.list_models(pretrained=True))
def test_show(told: Told, name: str) -> None:
    code, out, _ = told("show", name)
    parameters = zoo.load(name).card["parameters"]
    assert code == 0 and f"{parameters:,}" in out.partition("\n\n")[2] and "no biases" in out
    values = json.loads(told("show", name, "--json")[1])
    assert values["layers"]["parameters"] == values["card"]["parameters"] == parameters


def test_show_has_the_arithmetic(told: Told) -> None:
    out = told("show", "mnist-lenet")[1]
    for part in (
        "(28 + 2*2 - 5) / 1 + 1 = 28",
        "6 * (1 * 5*5) + 6 = 156",
        "117,600",
        "python train.py experiment=mnist_lenet",
    ):
        assert part in out, part


def test_predict(told: Told, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for number in (3, 8):
        digit(number).save(tmp_path / "folder" / f"{number}.png")
    code, out, _ = told("predict", "mnist-lenet", "folder/3.png", "folder")
    lines = out.splitlines()
    assert code == 0 and len(lines) == 3 and lines[0].startswith("folder/3.png: 3 (") and "% sure; then" in lines[0]
    row = json.loads(told("predict", "mnist-lenet", "folder/8.png", "--json")[1])
    assert row["item"] == "folder/8.png" and row["classes"][0] == "8" and 0.3 < row["probabilities"][0] <= 1
    assert told("predict", "pass-class", "4,5")[1].startswith("4,5: passed (91")
    assert told("predict", "xor", "-1,0")[1].startswith("-1,0: ")
    assert told("predict", "recall-lstm", "d a b ?")[1].startswith("d a b ?: d (")


def test_predict_reads_the_others_where_one_cannot_be_read(told: Told, tmp_path: Path) -> None:
    digit(3).save(tmp_path / "3.png")
    (tmp_path / "bad.png").write_text("no")
    Image.new("L", (9, 9)).save(tmp_path / "blank.png")
    code, out, err = told("predict", "mnist-lenet", "bad.png", "3.png", "blank.png", "none.png")
    assert code == 3 and out.startswith("3.png: 3 (") and len(out.splitlines()) == 1
    assert "bad.png: it is no picture" in err and "blank.png: it is blank" in err and "none.png: No such file" in err
    assert err.splitlines()[-1] == "error: 3 could not be read"


def test_a_folder_is_read_but_for_what_cannot_be(told: Told, tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    for number in (3, 8):
        digit(number).save(tmp_path / "some" / f"{number}.png")
    Image.new("L", (9, 9)).save(tmp_path / "some" / "blank.png")
    (tmp_path / "some" / "bad.png").write_text("no")
    code, out, err = told("predict", "mnist-lenet", "some")
    assert code == 3 and [line[:13] for line in out.splitlines()] == ["some/3.png: 3", "some/8.png: 8"]
    assert "some/bad.png: it is no picture" in err and "some/blank.png: " in err and "2 could not be read" in err


def test_a_file_says_nothing_to_the_terminal_and_goes_nowhere(told: Told, tmp_path: Path) -> None:
    from zoo.weight_files import packed

    net = zoo.load("xor")
    bad = {"name": "../evil", "title": "\x1b[2Jowned", "limits": "a\nb | <script>"}
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "net.safetensors").write_bytes(packed(net, net.card | bad))
    assert told("export", "bad/net.safetensors", "--to", "json", "--output", "x.json")[0] == 0
    assert told("export", "bad/net.safetensors", "--to", "json")[1] == "network.json\n"
    assert not (tmp_path.parent / "evil.json").exists()
    assert "\x1b" not in told("show", "bad/net.safetensors")[1]
    assert "| limits | a b \\| &lt;script> |" in told("card", "bad/net.safetensors")[1]


def test_a_run_has_a_card_too(told: Told, train: Callable[..., dict[str, Any]]) -> None:
    train("experiment=pass_class_mlp", "run_dir=run", "figures=false", "logger=csv", "trainer.max_epochs=2")
    out = told("card", "run")[1]
    assert "| trained by | python train.py experiment=pass_class_mlp trainer.max_epochs=2 seed=0 |" in out
    code, out, err = told("evaluate", "run", "--json")
    assert code == 0 and set(json.loads(out)["card"]) >= {"test/acc", "test/loss"} and err == ""


def test_generate(told: Told) -> None:
    code, out, _ = told("generate", "shakespeare-lstm", "--prompt", "ROMEO:", "--length", "60", "--seed", "3")
    assert code == 0 and out.startswith("ROMEO:") and len(out) == 6 + 60 + 1
    assert told("generate", "shakespeare-lstm", "--prompt", "ROMEO:", "--length", "60", "--seed", "3")[1] == out
    assert told("generate", "irish-lstm", "--length", "5", "--temperature", "0")[0] == 0


def test_export(told: Told) -> None:
    code, out, _ = told("export", "xor", "--to", "json")
    assert code == 0 and out == "xor.json\n"
    weights = json.loads(Path("xor.json").read_text())["weights"]
    assert weights["layers.0.weight"]["shape"] == [8, 2]
    assert told("export", "xor", "--to", "torchscript", "--output", "net.pt")[1] == "net.pt\n"
    assert Path("net.pt").read_bytes().startswith(b"PK")  # what it computes: tests/test_export.py


def test_words(told: Told) -> None:
    code, out, _ = told("nearest", "english-skipgram", "monday", "--count", "3")
    assert code == 0 and {line.split()[1] for line in out.splitlines()} <= set(
        "tuesday wednesday thursday friday".split()
    )
    assert json.loads(told("analogy", "english-skipgram", "king", "man", "woman", "--json")[1])[0][0] == "queen"


@needs_mnist
def test_evaluate(told: Told, tmp_path: Path) -> None:
    code, out, _ = told("evaluate", "mnist-lenet", "--json")
    values = json.loads(out)
    assert code == 0 and values["disagreements"] == [] and values["found"]["test/acc"] == values["card"]["test/acc"]


def test_evaluate_says_where_card_and_network_disagree(told: Told, tmp_path: Path) -> None:
    from zoo.weight_files import packed

    net = zoo.load("xor")
    assert told("evaluate", "xor")[0] == 0
    net.layers[1].bias.data += 50
    (tmp_path / "bent.safetensors").write_bytes(packed(net, net.card))
    code, _, err = told("evaluate", "bent.safetensors")
    assert code == 1 and "test/acc: the card says 1.0000, found 0.5000" in err


def test_from_a_run_to_a_folder_to_give_away(told: Told, train: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    train("experiment=pass_class_mlp", "run_dir=run", "figures=false", "logger=csv", "trainer.max_epochs=2")
    code, out, _ = told("publish", "run", "--name", "mine", "--limits", "Made for a test.", "--store", "float16")
    assert code == 0 and out == "published/mine\n"
    assert {path.name for path in Path("published/mine").iterdir()} == {"model.safetensors", "config.json", "README.md"}
    page = Path("published/mine/README.md").read_text()
    assert page.startswith("---\nlicense: mit\n") and "Made for a test." in page
    command = "python train.py experiment=pass_class_mlp trainer.max_epochs=2 seed=0"
    assert f"| trained by | {command} |" in page and told("card", "published/mine")[1] == page + "\n"
    ours, theirs = zoo.load("run"), zoo.load("published/mine")
    assert theirs.predict([4, 5]).probability == pytest.approx(ours.predict([4, 5]).probability, abs=1e-6)
    assert told("evaluate", "published/mine")[0] == 0
    assert told("publish", "run", "--name", "mine")[::2] == (
        6, "error: published/mine holds a published network; choose another --name or --to, or take it away\n"
    )  # fmt: skip
    assert told("card", "run")[0] == 0 and "lectures" in told("show", "published/mine", "--json")[1]
    (tmp_path / "run" / "result.json").write_text("{}")
    assert told("publish", "run")[::2] == (
        4,
        "error: run/result.json is not what a finished run has written: 'expect'\n",
    )


WRONG = [
    (2, ["bla"], "invalid choice: 'bla'"),
    (2, [], "the following arguments are required: COMMAND"),
    (2, ["predict", "mnist-lenet"], "the following arguments are required: FILE"),
    (2, ["nearest", "english-skipgram", "king", "--count", "x"], "invalid int value: 'x'"),
    (4, ["show", "mnist-lennet"], "no network is called 'mnist-lennet' (did you mean 'mnist-lenet'?)"),
    (4, ["show", "."], ". holds no run (checkpoints/best.ckpt), nor what zoo publish makes"),
    (3, ["nearest", "english-skipgram", "King"], "'King' is not one of the 10,000 words; closest: 'king'"),
    (4, ["show", "MNIST-LeNet"], "did you mean 'mnist-lenet'?"),
    (4, ["show", "runs/none"], "cannot read checkpoint runs/none: No such file or directory"),
    (4, ["predict", "shakespeare-lstm", "x"], "(model char_rnn) has no predict; it has generate"),
    (4, ["generate", "mnist-lenet"], "(model lenet) has no generate; it has predict"),
    (4, ["publish", "none"], "cannot read checkpoint none/result.json"),
    (3, ["generate", "shakespeare-lstm", "--prompt", ""], "prompt must hold at least one character"),
    (3, ["generate", "shakespeare-lstm", "--prompt", "é"], "the vocabulary lacks 'é'"),
    (3, ["generate", "shakespeare-lstm", "--temperature", "-1"], "temperature a finite number >= 0"),
    (2, ["generate", "shakespeare-lstm", "--seed", "99999999999999999999"], "--seed must lie in 0 .. 2^63 - 1"),
    (3, ["nearest", "english-skipgram", "londonn"], "'londonn' is not one of the 10,000 words; closest: 'london'"),
    (3, ["nearest", "english-skipgram", "king", "--count", "0"], "count must be >= 1, got 0"),
    (3, ["predict", "pass-class", "4"], "takes 2 numbers (lectures, hours)"),
    (2, ["export", "xor", "--to", "onyx"], "'onyx' (did you mean 'onnx'?)"),
]


@pytest.mark.parametrize(("code", "arguments", "words"), WRONG, ids=[" ".join(w[1]) or "nothing" for w in WRONG])
def test_a_mistake_is_one_line(told: Told, code: int, arguments: list[str], words: str) -> None:
    found, out, err = told(*arguments)
    assert found == code and words in err, err
    lines = [line for line in err.splitlines() if "takes 2 numbers" not in line]
    assert len(lines) <= 1 and out == ""


def test_python_dash_m_and_the_script_are_the_same() -> None:
    command = [sys.executable, "-W", "error", *WAIVED, "-m", "zoo", "predict", "xor", "0,1", "1,1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and [line[:6] for line in done.stdout.splitlines()] == ["0,1: 1", "1,1: 0"], done.stderr
    assert 'zoo = "zoo.shell:main"' in (ROOT / "pyproject.toml").read_text()


def test_help_says_what_each_command_does(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"])
    out = capsys.readouterr().out
    for command in "list show predict generate nearest analogy evaluate export card publish".split():
        assert f"\n    {command} " in out
