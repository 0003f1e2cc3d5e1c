"""Part D elsewhere: what plain Hydra does with the same configuration and the same faults."""

import contextlib
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from soak.configuration import (
    PATHS,
    TABLE,
    TABLE_OF,
    UNFIT,
    arguments,
    override_lists,
    typo_of_a_group,
    typo_of_a_key,
    typo_of_a_name,
)
from soak.frame import must
from soak.row import Row
from soak.runs import LIMIT
from zoo.config import compose_settings


def others() -> list[Row]:
    """Plain Hydra, over the same configuration and by the same faults."""
    folder = Path(tempfile.mkdtemp())
    here = Path.cwd()
    os.chdir(folder)
    compose_settings([])  # which gives Hydra our schemas
    try:
        measures = (typos_in_hydra, values_in_hydra, fuzz_in_hydra, code_in_hydra, paths_in_hydra, hydra_at_once)
        return [measure() for measure in measures]
    finally:
        os.chdir(here)
        shutil.rmtree(folder)


def hydra_alone(overrides: list[str]) -> Any:
    """What Hydra composes of our configuration. Raises whatever it raises."""
    if any(text.startswith(("model=", "data=")) for text in overrides):
        overrides = [*overrides, "~experiment"]  # the default one is about another pair
    GlobalHydra.instance().clear()
    with initialize_config_module("zoo.configs", version_base="1.3"):
        return OmegaConf.to_container(compose("train", overrides), resolve=True)


def typos_in_hydra() -> Row:
    """D1: whether the answer has the word that was meant."""
    dice, named = random.Random(0), 0
    kinds = (typo_of_a_key, typo_of_a_group, typo_of_a_name)
    for number in range(100):
        typed, meant, _ = kinds[number % 3](dice)
        try:
            hydra_alone(typed)
        except Exception as error:
            named += meant in str(error)
    return Row("D1", "Hydra", named, 100, "it lists the options of a group; of a key it says that there is none")


def values_in_hydra() -> Row:
    """D2: the table and as many arguments, by their types alone."""
    dice, refused_by_it = random.Random(0), 0
    typed = [[*TABLE_OF, text] for text in TABLE]
    for where, key, kinds in dice.sample(arguments(), len(TABLE)):
        typed.append([*where, f"{key}={dice.choice(UNFIT[dice.choice(kinds)])}"])
    for overrides in typed:
        try:
            hydra_alone(overrides)
        except Exception:
            refused_by_it += 1
    return Row("D2", "Hydra", refused_by_it, len(typed), "structured configs tell types, and no ranges")


def fuzz_in_hydra() -> Row:
    """D4: whether what is raised is an error of Hydra's or OmegaConf's."""
    dice, count, own = random.Random(0), 1000, 0
    for _ in range(count):
        overrides = override_lists(dice)
        try:
            hydra_alone(overrides)
            own += 1
        except (HydraException, OmegaConfBaseException):
            own += 1
        except Exception:
            pass
    return Row("D4", "Hydra", own, count, "the others end with a bare ValueError, TypeError or AssertionError")


def code_in_hydra() -> Row:
    """D5: what `instantiate` refuses of a `_target_` that somebody else has written."""
    Path("bomb.pt").write_bytes(b"cos\nmkdir\n(S'bomb'\ntR.")
    Path("file").write_text("x")
    tries: list[tuple[dict[str, Any], Callable[[], bool]]] = [
        ({"_target_": "os.mkdir", "path": "made"}, Path("made").exists),
        ({"_target_": "os.system", "command": "mkdir called"}, Path("called").exists),
        ({"_target_": "torch.load", "f": "bomb.pt", "weights_only": False}, Path("bomb").exists),
        ({"_target_": "builtins.open", "file": "file", "mode": "w"}, lambda: not Path("file").read_text()),
        ({"_target_": "shutil.copyfile", "src": "bomb.pt", "dst": "copy"}, Path("copy").exists),
    ]
    kept = 0
    for target, executed in tries:
        with contextlib.suppress(Exception):
            instantiate(target)
        kept += not executed()
    return Row("D5", "hydra.utils.instantiate", kept, len(tries), "the others are called, for a _target_ is code")


def paths_in_hydra() -> Row:
    """D7: whether a path arrives as it was typed."""
    same = 0
    for path in PATHS:
        with contextlib.suppress(Exception):
            same += hydra_alone([f"ckpt_path={path}"])["ckpt_path"] == path
    return Row("D7", "Hydra", same, len(PATHS), "its grammar stops at = and brackets, and reads 2026_01 as a number")


def hydra_at_once(count: int = 8) -> Row:
    """D8: folders of an empty `hydra.main`, started in the same second."""
    Path("app.py").write_text(
        "import hydra, time\n"
        "@hydra.main(version_base='1.3', config_path=None)\n"
        "def app(config): pass\n"
        "time.sleep(max(0, float(__import__('os').environ['AT']) - time.time()))\n"
        "app()\n"
    )
    start = math.ceil(time.time()) + 5.0  # seconds of imports on a busy machine
    environment = os.environ | {"AT": str(start + 0.01)}
    processes = [subprocess.Popen([sys.executable, "app.py"], env=environment) for _ in range(count)]
    try:
        codes = [process.wait(LIMIT) for process in processes]
    finally:
        for process in processes:
            process.kill()
    must(not any(codes), f"exit codes {codes}")
    folders = len(list(Path("outputs").glob("*/*")))
    return Row("D8", "hydra.main", folders, count, "runs of the same second write into the same folder")
