"""Small trainings of every network, as a user starts them, and what two of them have learnt alike."""

import contextlib
import gzip
import hashlib
import io
import json
import shutil
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from test_multi30k import CORPUS
from test_pictures import write_tree, zipped
from test_resume import LEARNT, QUIET, RUNS, outcome

from soak.children import Child, until
from soak.frame import must
from zoo.cli import main
from zoo.config import compose_settings
from zoo.data import multi30k
from zoo.data.fetch import File
from zoo.data.text import TextSet
from zoo.module import ZooModule

LIMIT = 40.0  # seconds for any of these trainings on a busy machine: alone they take one or two

DIGITS = ["data=digits", "data.batch_size=100", "trainer.max_epochs=3"]
PAIRS = ["data=multi30k", "data.root=..", "data.vocab_size=120", "data.batch_size=5", "trainer.max_epochs=3"]
RECALL = ["data=recall", "data.gaps=[1,2]", "data.train_size=80", "data.batch_size=8", "trainer.max_epochs=3"]
# Beside those of tests/test_resume.py, so that every network is there once at least.
TRAININGS: dict[str, list[str]] = {
    name: [text.replace("=pets.zip", "=../pets.zip").replace("num_workers=0", "num_workers=2") for text in overrides]
    for name, overrides in RUNS.items()
} | {
    "alexnet": ["model=alexnet", "model.variant=cifar", "data=image_folder", "data.root=../pets.zip",
                "data.image_size=32", "data.batch_size=30", "optimizer=sgd", "optimizer.lr=1e-4",
                "trainer.max_epochs=2"],
    "autoencoder": ["model=autoencoder", "model.hidden_sizes=[20,10]", "model.corruption=masking",
                    "model.pretraining_epochs=1", *DIGITS, "data.standardise=false", "optimizer=adam"],
    "echo states": ["model=echo_state_network", "model.reservoir_size=40", "data=mackey_glass", "data.train_size=300",
                    "data.batch_size=1000000", "optimizer=sgd", "trainer.max_epochs=1"],
    "large batches": ["model=lenet", "model.dropout=0.5", "data=digits", "data.batch_size=400", "optimizer=adam",
                      "trainer.max_epochs=4"],
    "locally connected": ["model=locally_connected", *DIGITS, "optimizer=adam"],
    "many networks": ["model=many_mlps", "model.num_copies=20", "data=pass_class", "data.batch_size=100",
                      "optimizer=adam", "trainer.max_epochs=3"],
    "two networks": ["model=mlp_and_convnet", "model.dropout=0.3", "data=image_folder", "data.root=../pets.zip",
                     "data.image_size=32", "data.batch_size=6", "optimizer=adamw", "trainer.max_epochs=2"],
    "nielsen": ["model=nielsen_convnet", "model.dropout=0.3", *DIGITS, "optimizer=sgd", "optimizer.nesterov=true",
                "optimizer.momentum=0.9"],
    "perceptron": ["model=perceptron", "data=pass_class", "data.batch_size=100", "optimizer=sgd",
                   "trainer.max_epochs=3"],
    "recurrent translator": ["model=seq2seq", "model.hidden_size=16", "model.embedding_dim=8", "model.dropout=0.3",
                             *PAIRS, "optimizer=adamw"],
    "sequences": ["model=sequence_rnn", "model.hidden_size=16", "model.num_layers=2", "model.dropout=0.3", *RECALL,
                  "optimizer=adam", "trainer.gradient_clip_norm=1"],
    "sequences by attention": ["model=sequence_transformer", "model.hidden_size=16", "model.dropout=0.3", *RECALL,
                               "optimizer=adamw"],
    "transfer": ["model=transfer_lenet", "model.source_epochs=1", *DIGITS, "data.batch_size=25", "optimizer=adam"],
    "translator": ["model=transformer", "model.hidden_size=16", "model.num_heads=2", "model.num_layers=1", *PAIRS,
                   "optimizer=adamw", "optimizer.schedule=cosine"],
    "counted words": ["model=word_svd", "model.embedding_dim=8", "data=pydoc_words", "data.batch_size=1000000",
                      "optimizer=sgd", "trainer.max_epochs=1"],
}  # fmt: skip


def warm_up(scratch: Path) -> None:
    """Import and set up what every training needs, once: a process forked from this one starts in a tenth of a second.

    scratch: the folder of the trials' folders; it gets the pictures and the pairs of sentences that TRAININGS name.
    """
    from zoo.train import run

    torch.set_num_threads(1)
    zipped(write_tree(scratch / "pets", each=27), scratch / "pets.zip")
    (scratch / "multi30k").mkdir()
    for part, files in multi30k.FILES.items():
        for file, sentences in zip(files, zip(*CORPUS, strict=True), strict=True):
            text = "".join(f"{sentence}\n" for sentence in sentences * (4 if part == "train" else 1))
            (scratch / "multi30k" / file.name).write_bytes(gzip.compress(text.encode()))
    with contextlib.redirect_stderr(io.StringIO()):
        run(compose_settings(["model=mlp", *DIGITS, "trainer.max_steps=1", *QUIET, f"run_dir={scratch / 'warm_up'}"]))


def expect_small_data(scratch: Path) -> None:
    """From here on, in this process, those are the pairs that the data set expects."""
    for part, files in multi30k.FILES.items():
        packed = {file.name: (scratch / "multi30k" / file.name).read_bytes() for file in files}
        multi30k.FILES[part] = [File(name, hashlib.sha256(b).hexdigest(), len(b)) for name, b in packed.items()]


class Training(Child):
    """`python train.py` in a forked process, in `folder/run`, which it continues where it has begun.

    before: done in that process first. Each step that it begins is a line of a file `steps_0`, `steps_1`, ...: of one
    training in this folder after the other. Warnings are errors.
    """

    def __init__(self, folder: Path, overrides: list[str], before: Callable[[], object] = lambda: None):
        self.number = len(list(folder.glob("steps_*")))
        self.steps_file = folder / f"steps_{self.number}"
        self.steps_file.touch()
        again = ["ckpt_path=last"] if (folder / "run" / "config.yaml").exists() else []
        command = [*QUIET, "run_dir=run", *overrides, *again]

        def work() -> None:
            warnings.resetwarnings()
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", FutureWarning)  # as WAIVED in tests/conftest.py
            TextSet.report = lambda self, network, seed: self.sample(network, seed, 10)
            expect_small_data(folder.parent)
            self.tell_steps()
            before()
            main(command)

        super().__init__(work, folder, f"training_{self.number}")

    def tell_steps(self) -> None:
        """In the child: write down each step that begins."""
        start = ZooModule.on_train_batch_start
        file = open(self.steps_file, "a", buffering=1)

        def told(module: ZooModule, batch: Any, batch_idx: int) -> None:
            file.write(f"{module.global_step}\n")
            start(module, batch, batch_idx)

        ZooModule.on_train_batch_start = told

    @property
    def steps(self) -> list[int]:
        """Those that it has begun."""
        return [int(line) for line in self.steps_file.read_text().split()]

    @property
    def step(self) -> int:
        """The latest of them, -1 before the first."""
        return max(self.steps, default=-1)

    def reach(self, step: int = 0) -> bool:
        """Wait until it begins that step or a later one; whether it does before it ends. Raises Overdue."""
        until(lambda: self.step >= step or not self.running, LIMIT, f"step {step} does not come")
        return self.step >= step

    def succeed(self) -> None:
        """Wait for its good end. Raises Wrong, Overdue."""
        must(self.wait(LIMIT) == 0, f"exit code {self.code}: {self.last_line}")

    def be_killed(self) -> None:
        """Wait until it has killed itself. Raises Wrong, Overdue."""
        must(self.wait(LIMIT) == -signal.SIGKILL, f"not killed, but exit code {self.code}: {self.last_line}")

    @property
    def last_line(self) -> str:
        """Of its stderr."""
        return (self.errors.splitlines() or ["nothing on stderr"])[-1]

    def fail(self, code: int, words: str, seconds: float = LIMIT) -> None:
        """Wait for its end with that code and one line that says why, with these words. Raises Wrong, Overdue."""
        must(self.wait(seconds) == code, f"exit code {self.code} instead of {code}: {self.last_line}")
        must(words in self.last_line, f"{words!r} is not in the last line of stderr: {self.last_line}")
        must("Traceback" not in self.errors, f"a traceback before {self.last_line}")
        must(not self.printed, f"on stdout: {self.printed!r}")


class Whole(NamedTuple):
    """A training that nobody has stopped: what it has learnt, its steps, and the seconds from the first to the end."""

    learnt: dict[str, str]
    steps: int
    seconds: float


def whole(name: str, folder: Path) -> Whole:
    """The training of that name without any fault; one for all trials of a soak, which `folder` is of."""
    place = folder.parent / f"whole_{name.replace(' ', '_')}"
    if not (place / "whole.json").exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        with Training(place, TRAININGS[name]) as training:
            training.reach()
            first = time.monotonic()
            training.succeed()
        made = Whole(learnt(place / "run"), len(training.steps), time.monotonic() - first)
        must(training.steps == list(range(made.steps)), f"the whole run took the steps {training.steps}")
        (place / "whole.json").write_text(json.dumps(made))
    return Whole(*json.loads((place / "whole.json").read_text()))


def learnt(run: Path) -> dict[str, str]:
    """SHA-256 of everything that a training leaves."""
    last, best, rows = outcome(str(run))
    found = {name: digest(last[name]) for name in LEARNT if name in last}
    return found | {"best.ckpt": digest({k: best[k] for k in LEARNT if k in best}), "metrics.csv": digest(rows)}


def digest(value: Any) -> str:
    """SHA-256 of tensors, bit for bit, and plain values, in nested containers."""
    if isinstance(value, torch.Tensor):
        bits = value.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        text = f"{value.dtype} {tuple(value.shape)} {hashlib.sha256(bits).hexdigest()}"
    elif isinstance(value, dict):
        text = " ".join(f"{key}: {digest(item)}" for key, item in value.items())
    elif isinstance(value, (list, tuple)):
        text = " ".join(digest(item) for item in value)
    else:
        text = repr(value)
    return hashlib.sha256(f"{type(value).__name__} {text}".encode()).hexdigest()


def learnt_the_same(folder: Path, name: str) -> None:
    """What the training in `folder` leaves is, bit for bit, what the whole one does, and no step is missing."""
    expected = whole(name, folder)
    got = learnt(folder / "run")
    differ = [key for key in expected.learnt if got.get(key) != expected.learnt[key]]
    must(not differ, f"{' and '.join(differ)} differ from those of the whole run")
    attempts = [[int(line) for line in path.read_text().split()] for path in sorted(folder.glob("steps_*"))]
    for steps in attempts:
        must(not steps or steps == list(range(steps[0], steps[-1] + 1)), f"not one step after the other: {steps}")
    executed = sorted({step for steps in attempts for step in steps})
    must(executed == list(range(expected.steps)), f"{len(executed)} steps executed of {expected.steps} planned")
