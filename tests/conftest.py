"""What many tests need: runs in an empty folder, in this process or as a user types them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.torchvision_operators import declare_missing_operators

ROOT = Path(__file__).parent.parent
DATA_ROOT = Path(os.environ.get("ZOO_DATA_DIR") or ROOT / "data" / "cache")
FETCHED = {  # data sets that need a file, and the first word of the experiments on them
    "mnist": "MNIST/raw",
    "shakespeare": "tinyshakespeare.txt",
    "irish": "irish.abc",
    "reviews": "movie_reviews.zip",
}


def there(name: str) -> bool:
    """Whether the data set, or that of the experiment, can be read without a network."""
    return (DATA_ROOT / FETCHED.get(name.partition("_")[0], "")).exists()


def needs(name: str) -> pytest.MarkDecorator:
    """Skips a test where that data, fetched from elsewhere, is not there: the default suite uses no network."""
    return pytest.mark.skipif(not there(name), reason=f"the data of {name} is not there; say where with ZOO_DATA_DIR")


def marked(names: Iterable[str]) -> list[Any]:
    """Test parameters that are skipped where their data is not there."""
    return [pytest.param(name, marks=needs(name)) for name in names]


needs_mnist = needs("mnist")

EXPERIMENTS = sorted(path.stem for path in (ROOT / "configs" / "experiment").glob("*.yaml"))
RUNNABLE = marked(EXPERIMENTS)

torch.set_num_threads(1)
declare_missing_operators()  # before any test file imports Lightning


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """`train("experiment=xor_mlp", ...)` runs in this process, in an empty folder; gives the result."""
    from zoo.config import compose_settings
    from zoo.train import run

    monkeypatch.chdir(tmp_path)
    return lambda *overrides: run(compose_settings(list(overrides)))


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`shell("experiment=xor_mlp", ...)` runs train.py as a new process in an empty folder; warnings are errors."""

    def call(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", *WAIVED, str(ROOT / "train.py"), *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, **options)

    return call


# As in pyproject.toml: Lightning 2.6.6 uses a name that torch 2.13 deprecates.
WAIVED = ["-W", "ignore::FutureWarning"]
