"""Makes what ships in zoo/weights/ out of finished runs: `python tests/evidence/ship.py RUNS [NAME ...]`.

RUNS holds a run's directory for each experiment (`run_dir=RUNS/mnist_lenet`); NAME: those alone. Each is published as
`zoo publish` does it, with the result lines of tests/evidence; then index.json and README.md are written anew.
`python tests/evidence/ship.py` alone writes these two.
"""

import hashlib
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from zoo.card import headline, over_seeds_of
from zoo.publish import publish
from zoo.weight_files import read_card_of

HERE = Path(__file__).parent
WEIGHTS = HERE.parent.parent / "zoo" / "weights"

DIGITS = "Single digits on plain paper that reaches the edge. It answers with a digit whatever it is shown, often sure."
WRITER = "It has learnt spelling and form, not sense. It knows the {} characters of its text and no others."
SHAKESPEARE = WRITER.format(65)


class Ship(NamedTuple):
    """The experiment, how its weights are stored, what it is not good for, and how many word vectors are kept."""

    experiment: str
    store: str
    limits: str
    words: int | None = None


SHIPS = {
    "xor": Ship("xor_mlp", "float32", "Four patterns; between them it says where its border happens to lie."),
    "pass-class": Ship("pass_class_mlp", "float32", "Invented students: it says nothing about real ones."),
    "digits-lenet": Ship("digits_lenet", "float32", DIGITS + " Trained on 8x8 pixels: mnist-lenet reads better."),
    "mnist-mlp": Ship("mnist_mlp", "float32", DIGITS + " It knows no neighbourhood of pixels."),
    "mnist-lenet": Ship("mnist_lenet", "float32", DIGITS),
    "mnist-lenet-paper": Ship("mnist_lenet_paper", "float32", DIGITS),
    "mnist-nielsen": Ship("mnist_nielsen", "float16", DIGITS),
    "mnist-sda": Ship("mnist_sda", "int8", DIGITS),
    "cifar10-alexnet": Ship(
        "cifar10_alexnet", "int8", "Ten kinds of things, seen at 32x32 pixels; anything else is taken for one of them."
    ),
    "recall-lstm": Ship("recall_lstm", "float32", "Eight symbols and gaps of up to 100; it knows no other task."),
    "shakespeare-rnn": Ship("shakespeare_rnn", "int8", SHAKESPEARE),
    "shakespeare-gru": Ship("shakespeare_gru", "int8", SHAKESPEARE),
    "shakespeare-lstm": Ship("shakespeare_lstm", "int8", SHAKESPEARE),
    "shakespeare-transformer": Ship("shakespeare_transformer", "int8", SHAKESPEARE + " It looks back 256 of them."),
    "irish-lstm": Ship("irish_lstm", "int8", WRITER.format(83) + " Begin with `X:1` and a new line."),
    "english-skipgram": Ship(
        "english_skipgram",
        "int8",
        "The 10,000 commonest of the 32,123 words of a text of 4.7 million, in small letters, one vector for all "
        "senses of a word; it repeats the prejudices of its texts. Its figures are over the pairs and questions whose "
        "words are among the 10,000, those over seeds over more of them: the two are not to be compared.",
        10_000,
    ),
}


def ship(name: str, runs: Path) -> None:
    """Publish one, and put its file among the weights."""
    one = SHIPS[name]
    with tempfile.TemporaryDirectory() as folder:
        made = publish(
            runs / one.experiment, folder, name, one.store, one.words, one.limits, HERE / f"{one.experiment}.jsonl"
        )
        shutil.copy(made / "model.safetensors", WEIGHTS / f"{name}.safetensors")


def write_index() -> None:
    """index.json and README.md of what lies there."""
    there = [name for name in SHIPS if (WEIGHTS / f"{name}.safetensors").exists()]
    files = {name: (WEIGHTS / f"{name}.safetensors").read_bytes() for name in there}
    index = {name: {"sha256": hashlib.sha256(raw).hexdigest(), "bytes": len(raw)} for name, raw in files.items()}
    (WEIGHTS / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    (WEIGHTS / "README.md").write_text(page({name: read_card_of(WEIGHTS / f"{name}.safetensors") for name in there}))


def page(cards: dict[str, dict[str, Any]]) -> str:
    """The page of all cards."""
    lines = [
        "# What ships",
        "",
        "Trained networks, each by the command of its row; `zoo show NAME` has the whole card. Figure: of this very",
        "file, as it is stored, on the test set. Over seeds: of the experiment. Written by `tests/evidence/ship.py`; a",
        "test loads each file and measures its figure anew.",
        "",
        "| name | trained by | figure | over seeds | parameters, stored as | kB |",
        "|---|---|---|---|---|---|",
    ]
    for name, card in cards.items():
        size = (WEIGHTS / f"{name}.safetensors").stat().st_size / 1e3
        row = (f"`{name}`", f"`{card['command']}`", headline(card), over_seeds_of(card))
        lines.append(f"| {' | '.join(row)} | {card['parameters']:,}, {card['store']} | {size:,.0f} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    for each in sys.argv[2:] or (SHIPS if sys.argv[1:] else ()):
        ship(each, Path(sys.argv[1]))
        print(each)
    write_index()
