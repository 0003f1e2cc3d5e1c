"""The soak's parts D and E, configuration and numbers: a few trials of each fault, and what the parts rest on."""

import json
import random
import sys
from collections.abc import Callable

import pytest
from evidence.golden import FILE
from soak import configuration, frame
from soak.numbers import near

from zoo.registry import load_all

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel for what only Linux has")

TRIALS = [  # by case, where there are several
    *(("D1", case) for case in ("name", "value")),
    ("D2", "any argument"),
    ("D3", "pass_class"),
    ("D4", ""),
    *(("D5", case) for case in ("on the command line", "in a stored one", "in the environment")),
    ("D6", "convnet"),
    *(("D7", case) for case in ("epoch=1-step=100", "a b")),
    ("D8", ""),
    ("E1", "carried state"),
    *(("E3", case) for case in sorted(load_all()["model"])),
    *(("E4", case) for case in ("in a loss", "in a gradient", "in a parameter", "in validation")),
    *(("E5", case) for case in ("carried state", "convnet")),
]


@pytest.mark.parametrize(("id", "case"), TRIALS)
def test_a_fault_is_taken_as_it_must_be(id: str, case: str, put_in: Callable[[str, str], None]) -> None:
    put_in(id, case)


def test_edits_are_one_letter_away() -> None:
    assert {"at", "ca", "ct", "cart", "bat", "act", "cat_"} <= configuration.edits("cat")
    assert not {"cat", "a", "tac", "dog"} & configuration.edits("cat")


def test_a_list_of_overrides_is_drawn_anew_from_its_seed() -> None:
    one, again, other = (configuration.override_lists(random.Random(seed)) for seed in (1, 1, 2))
    assert one == again != other


def test_the_golden_file_has_every_network_and_tells_a_loss_that_has_moved() -> None:
    golden = json.loads(FILE.read_text())["losses"]
    assert golden.keys() == load_all()["model"].keys()
    for model, losses in golden.items():
        near(model, losses, exactly=True)
        near(model, [loss * (1 + 5e-6) for loss in losses], exactly=False)
        for moved, exactly in ((1 + 1e-4, False), (1 + 5e-6, True)):
            if model != "echo_state_network":  # whose only loss is nearly nothing
                with pytest.raises(frame.Wrong, match=f"{model}: the loss is .* at step 1, and was"):
                    near(model, [loss * moved for loss in losses], exactly)
