"""What many tests need: runs in an empty folder, in this process or as a user types them."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.torchvision_operators import declare_missing_operators

ROOT = Path(__file__).parent.parent
DATA_ROOT = Path(os.environ.get("ZOO_DATA_DIR") or ROOT / "data" / "cache")
FETCHED = {  # files that data sets need, by the data set, by an experiment, and by the first word of its name
    "mnist": "MNIST/raw",
    "break_permuted_pixels": "MNIST/raw",
    "shakespeare": "tinyshakespeare.txt",
    "irish": "irish.abc",
    "reviews": "movie_reviews.zip",
    "multi30k": "multi30k",
    "cifar10": "cifar10-images.zip",
    "imagenet": "imagenet-samples",
    "text8": "text8.zip wordsim353.tsv simlex999.txt questions-words.txt",
    "english": "english.txt.gz wordsim353.tsv simlex999.txt questions-words.txt",
}


def there(name: str) -> bool:
    """Whether the data set, or that of the experiment, can be read without a network."""
    files = FETCHED.get(name) or FETCHED.get(name.partition("_")[0], "")
    return all((DATA_ROOT / needed).exists() for needed in files.split())


def needs(name: str) -> pytest.MarkDecorator:
    """Skips a test where that data, fetched from elsewhere, is not there: the default suite uses no network."""
    return pytest.mark.skipif(not there(name), reason=f"the data of {name} is not there; say where with ZOO_DATA_DIR")


def marked(names: Iterable[str]) -> list[Any]:
    """Test parameters that are skipped where their data is not there."""
    return [pytest.param(name, marks=needs(name)) for name in names]


needs_mnist = needs("mnist")

FOUND_PICTURES = ROOT / ".pytest_cache" / "d" / "pictures"  # decoded once, for the next tests too

EXPERIMENTS = sorted(path.stem for path in (ROOT / "configs" / "experiment").glob("*.yaml"))
RUNNABLE = marked(EXPERIMENTS)

torch.set_num_threads(1)
declare_missing_operators()  # before any test file imports Lightning


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """Draws without a seed do not depend on which tests this process has run before."""
    torch.manual_seed(0)


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


Told = Callable[..., tuple[int, str, str]]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """`told("list")` runs in this process, in an empty folder; gives exit code, stdout, stderr."""
    from zoo.shell import main

    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return call


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a server on this machine that has the files of `tmp_path`."""

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any, **options: Any):
            super().__init__(*args, directory=str(tmp_path), **options)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


@pytest.fixture(scope="module")
def put_in(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], None]:
    """`put_in("A4", "SIGINT")`: that trial of a fault of the soak goes as it must."""
    from soak.frame import attempt, find_faults
    from soak.runs import warm_up

    scratch = tmp_path_factory.mktemp("soak")  # where trials lie, and beside them the whole runs to compare with
    warm_up(scratch)
    faults = find_faults()

    def call(id: str, case: str) -> None:
        outcome = attempt(faults[id], 0, list(faults[id].cases).index(case) if case else 0, scratch)
        assert not outcome.wrong, (scratch / f"{id}_{outcome.trial}" / "trial.err").read_text()

    return call


def seconds_alone(command: list[str], folder: Path, code: int = 0) -> float:
    """How long a command takes, less the time that it waited for a core which others had; it ends with that code.

    Linux says how long that was; elsewhere it is the time on the clock.
    """
    started, waited = time.perf_counter(), 0
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    schedule = Path(f"/proc/{process.pid}/schedstat")  # nanoseconds on a core, nanoseconds waiting for one, turns
    while process.poll() is None:
        with contextlib.suppress(OSError):
            waited = int(schedule.read_text().split()[1])
        time.sleep(0.01)
    assert process.returncode == code
    return time.perf_counter() - started - waited / 1e9


# As in pyproject.toml: Lightning 2.6.6 uses a name that torch 2.13 deprecates.
WAIVED = ["-W", "ignore::FutureWarning"]
