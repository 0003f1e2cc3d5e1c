"""The soak's parts B and C: a few trials of each fault of checkpoint files and of data, by the same functions."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import FETCHED
from soak import data, files
from soak.frame import FAULTS, Wrong
from soak.runs import TRAININGS
from test_resume import QUIET, RUNS

import zoo
from zoo.checkpoint import read_checkpoint, write_checkpoint
from zoo.errors import CheckpointError
from zoo.registry import load_all

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel for what only Linux has")

TRIALS = [  # the first of each by its case
    ("B1", "momentum"),
    ("B2", "momentum"),
    ("B2", "xor"),
    ("B3", "momentum"),
    ("B3b", "mlp"),
    *(("B4", door) for door in ("in the optimizer's state", "beside TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "by the Hub",
                                "by a pinned address", "YAML of a run", "unpacked pickles of CIFAR-10")),
    *(("B5", how) for how in ("compressed parts", "a million entries", "lists of lists", "a tensor of terabytes")),
    ("B6", "momentum"),
    ("B6b", "momentum"),
    *(("B7", release.stem) for release in files.RELEASES),
    *(("B8", place) for place in ("other scripts", "a GPU")),
    *(("C1", how) for how in ("silent", "crawls", "garbage", "cut short, then good")),
    ("C2", "shakespeare"),
    ("C3", "mnist"),
    ("C3b", "a label of eleven"),
    ("C3c", "numbers of words"),
    ("C4", "2, irish"),
    ("C5", "tar: a link out, then through it"),
    ("C6", "no TLS"),
    *(("C7", f"char_rnn, {text}") for text in ("UTF-16", "one character, often", "odd line ends")),
    ("C8", "model.window=0"),
    ("C8b", "a misspelt word"),
    *(("C9", f"mlp, {what}") for what in ("one class", "pictures all alike")),
    ("C9b", "momentum, nan"),
    ("C9c", "convnet"),
]  # fmt: skip


@pytest.mark.parametrize(("id", "case"), TRIALS)
def test_a_fault_is_taken_as_it_must_be(id: str, case: str, put_in: Callable[[str, str], None]) -> None:
    put_in(id, case)


def test_each_fault_has_a_trial_here() -> None:
    assert {id for id in FAULTS if id[0] in "BC"} == {id for id, _ in TRIALS}


def test_every_data_set_that_is_fetched_and_every_network_has_its_trials() -> None:
    fetched = FETCHED.keys() & load_all()["data"].keys() - {"imagenet"}  # of which nothing is fetched
    assert fetched | {"word tests"} == data.SITES.keys()
    for id in ("B1", "B2", "B3", "B6", "B6b"):
        assert set(FAULTS[id].cases) >= set(TRAININGS)
    assert set(FAULTS["B2"].cases) == {*TRAININGS, *zoo.list_models(pretrained=True)}


def test_what_is_taken_or_refused_in_another_way_is_wrong() -> None:
    def refuse(error: Exception) -> Callable[[], None]:
        def action() -> None:
            raise error

        return action

    assert files.refused(refuse(CheckpointError("it is damaged")), "damaged") == "it is damaged"
    bad: list[tuple[Any, str]] = [
        (lambda: None, "it was taken"),
        (refuse(KeyError("x")), "KeyError instead of CheckpointError"),
        (refuse(CheckpointError("two\nlines")), "not one line"),
        (refuse(CheckpointError("it is gone")), "'damaged' is not in 'it is gone'"),
    ]
    for action, words in bad:
        with pytest.raises(Wrong, match=words):
            files.refused(action, "damaged")


def test_a_checkpoint_without_what_a_continuation_needs_is_told_so(train: Callable[..., dict[str, Any]]) -> None:
    overrides = [*RUNS["momentum"], *QUIET, "run_dir=run"]
    train(*overrides, "trainer.max_steps=5")
    last = Path("run/checkpoints/last.ckpt")
    good = read_checkpoint(last)
    for key in ("running_sums", "optimizer_states", "loops", "lr_schedulers"):
        bad = {name: value for name, value in good.items() if name != key}
        write_checkpoint(bad, last)
        with pytest.raises(CheckpointError, match="last.ckpt (cannot be continued|holds weights only)"):
            train(*overrides, "ckpt_path=last")
    write_checkpoint(good, last)
    train(*overrides, "ckpt_path=last")
