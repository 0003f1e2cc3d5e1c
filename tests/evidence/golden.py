"""The first twenty losses of every network: `python tests/evidence/golden.py` trains them and keeps them.

golden_losses.json has them with the machine that they were computed on. There they must come out again bit for bit, on
another one to within a relative TOLERANCE (tests/soak/numbers.py): a change that moves one of them has changed what
is learnt. Whoever means to change that writes them anew, and says so.
"""

import json
import platform
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))  # where soak/ and conftest.py lie
import conftest  # noqa: F401  (torch on one thread, and made ready for Lightning)
import torch
from soak.runs import TRAININGS, expect_small_data, warm_up
from test_resume import QUIET

from zoo.callbacks import Guard
from zoo.config import compose_settings
from zoo.registry import load_all
from zoo.train import processor_name, run

FILE = Path(__file__).parent / "golden_losses.json"
STEPS, TOLERANCE = 20, 1e-5
WORDS = ["data=corpus", "data.path=../words.txt", "data.min_count=1", "data.similarity=[]", "data.analogies=null"]
CHANGED = {  # so that there are twenty steps, that another machine's rounding does not grow in them (at larger rates it
    # does), and that nothing comes from Python, of which each version has other texts
    "alexnet": ["data.batch_size=6"],
    "fast_convnet": ["optimizer.lr=1e-5"],
    "mlp_and_convnet": ["optimizer.lr=1e-4"],
    "nielsen_convnet": ["optimizer.lr=1e-3"],
    "word2vec": [*WORDS, "data.batch_size=4"],
    "word_svd": WORDS,
}


def training(model: str) -> list[str]:
    """A small training of that model in float32: the first one in TRAININGS, with what is changed of it."""
    given = next(given for given in TRAININGS.values() if f"model={model}" in given)
    latest = {text.partition("=")[0]: text for text in [*given, *CHANGED.get(model, [])]}
    latest |= {"trainer.precision": "trainer.precision=32-true", "trainer.max_steps": f"trainer.max_steps={STEPS}"}
    if "data.batch_size=1000000" not in given:  # not all at once, in a single step
        latest["trainer.max_epochs"] = f"trainer.max_epochs={STEPS}"
    return list(latest.values())


def losses(model: str, run_dir: str) -> list[float]:
    """The loss of each step, before it is taken. Of the folder above the current one come words, pictures and pairs."""
    write_words(Path("..") / "words.txt")
    expect_small_data(Path(".."))
    found: list[float] = []
    watched = Guard.on_train_batch_end

    def watch(self: Guard, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        found.append(float(outputs["loss"]))
        watched(self, trainer, module, outputs, batch, batch_idx)

    Guard.on_train_batch_end = watch
    try:
        run(compose_settings([*training(model), *QUIET, f"run_dir={run_dir}"]))
    finally:
        Guard.on_train_batch_end = watched
    return found


def write_words(path: Path) -> None:
    """Ten thousand words of a hundred, the first ones the commonest."""
    dice = random.Random(0)
    names = [f"w{number}" for number in range(100)]
    lines = (" ".join(dice.choices(names, [1 / (i + 1) for i in range(100)], k=20)) for _ in range(500))
    path.write_text("".join(f"{line}\n" for line in lines))


def machine() -> dict[str, str]:
    """What decides how sums are rounded."""
    return {
        "processor": processor_name("cpu"),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": f"{platform.system()} {platform.machine()}",
        "torch": str(torch.__version__),
        "threads": str(torch.get_num_threads()),
    }


def main() -> None:
    """Train every network, and write the file."""
    import os

    with tempfile.TemporaryDirectory() as scratch:
        warm_up(Path(scratch))
        os.chdir(Path(scratch) / "warm_up")
        found = {model: losses(model, f"golden_{model}") for model in sorted(load_all()["model"])}
        os.chdir(Path(__file__).parent)
    lines = ",\n".join(f"  {json.dumps(model)}: {json.dumps(values)}" for model, values in found.items())
    FILE.write_text(f'{{"machine": {json.dumps(machine())},\n "losses": {{\n{lines}\n }}}}\n')


if __name__ == "__main__":
    main()
