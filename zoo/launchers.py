"""The runs of a sweep side by side, through a launcher plugin of Hydra's: hydra/launcher=joblib, submitit_slurm, ...

A launcher's process trains run after run until the sweep's ticket is gone, a file that this process takes away on
Ctrl-C and SIGTERM, or that another launching of the same sweep replaces: what is being trained saves and stops, and
what waits, on a cluster perhaps for hours, does not begin.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_module
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from zoo.checkpoint import write_whole
from zoo.config import LoggerConfig, Settings, TrainerConfig, explain, first_line, parse
from zoo.errors import ConfigError, OutputError, Stopped, ZooError
from zoo.registry import nearest

PLUGINS = {
    "joblib": "hydra-joblib-launcher",
    "submitit_local": "hydra-submitit-launcher",
    "submitit_slurm": "hydra-submitit-launcher",
}
LOCAL = ("joblib", "submitit_local")  # their processes share this machine, and end with this one
GOES_ON = "the same command goes on where it was stopped"
NOT_BEGUN = {"exit_code": 128 + signal.SIGTERM, "error": "stopped before all runs had begun"}
LOOK_SECONDS = 0.3  # between two looks at the ticket
QUIET = (  # no folders and no logging of Hydra's beside ours
    "hydra.output_subdir=null",
    "hydra.sweep.subdir=.",
    "hydra/hydra_logging=none",
    "hydra/job_logging=none",
)


def split(overrides: list[str]) -> tuple[list[str], list[str]]:
    """The overrides of the runs, and those of the launcher. Raises ConfigError for others of Hydra's."""
    runs, launcher = [], []
    for override, text in zip(parse(overrides), overrides, strict=True):
        key = override.key_or_group or ""
        if key.replace("/", ".").split(".")[0] != "hydra":
            runs.append(text)
            continue
        if key != "hydra/launcher" and not key.startswith("hydra.launcher."):
            valid = "hydra/launcher=NAME and hydra.launcher.KEY=VALUE"
            raise ConfigError(f"{text!r}: of Hydra's own settings a sweep takes {valid}")
        if override.is_sweep_override() or override.is_delete():
            raise ConfigError(f"{text!r}: a sweep has one launcher and one value for each of its keys")
        if "_target_" in text:  # Hydra would make whatever it names
            raise ConfigError(f"{text!r}: a launcher's settings can be given, not what makes it")
        launcher.append(text)
    if launcher and not any(text.startswith("hydra/launcher=") for text in launcher):
        raise ConfigError(f"{launcher[0]!r}: of which launcher? add hydra/launcher={'|'.join(PLUGINS)}")
    return runs, launcher


class Launcher:
    """The launcher that the overrides name. Raises ConfigError for a name, a key or a value that does not fit.

    overrides: those of the launcher. base: the sweep's folder, in which Hydra and its plugins keep what they leave.
    """

    def __init__(self, overrides: list[str], base: Path):
        self.base = base
        GlobalHydra.instance().clear()
        with initialize_config_module("zoo.configs", version_base="1.3"):
            self.context = HydraContext(GlobalHydra.instance().config_loader(), Callbacks())
            check_name(overrides, self.context.config_loader.get_group_options("hydra/launcher"))
            try:
                # Of the runs it is told their number only: what they are has been composed and checked already.
                self.config: DictConfig = compose(
                    None, [*overrides, *QUIET, f"hydra.sweep.dir='{base}'"], return_hydra_config=True
                )
            except (HydraException, OmegaConfBaseException, ValueError, TypeError) as error:
                raise ConfigError(explain(error)) from error
        self.name = self.config.hydra.runtime.choices["hydra/launcher"]
        self.local = self.name in LOCAL
        self.at_once = self.processes()

    def processes(self) -> int:
        """How many runs this machine trains at the same time; 0 where the launcher takes them elsewhere."""
        if self.name != "joblib":
            return (os.cpu_count() or 1) if self.local else 0
        from joblib import effective_n_jobs

        try:
            return effective_n_jobs(self.config.hydra.launcher.n_jobs)
        except ValueError as error:
            raise ConfigError(f"hydra.launcher.n_jobs: {first_line(error)}") from error

    def threads(self, runs: int) -> int | None:
        """Of torch, for each of so many runs where they share this machine; None: as many as torch takes by itself."""
        asked = self.config.hydra.launcher.get("cpus_per_task")
        if asked or not self.local:
            return asked
        return max(1, torch.get_num_threads() // min(runs, self.at_once))

    def train(self, settings: list[Settings], train_one: Callable[[Settings], Any]) -> None:
        """Have each trained into its own run_dir. Raises ZooError: what ended the first run that could not go on.

        Stopped, where this process is asked to stop; whatever the launcher itself fails with becomes a ZooError.
        """
        plan = self.base / "launched.json"
        write_whole(plan, json.dumps([asdict(one) for one in settings]).encode())
        ticket = Ticket(self.base / "launched", f"{os.getpid()} {time.time()}", os.getpid() if self.local else None)
        job = Job(train_one, plan, ticket, self.threads(len(settings)))
        # submitit_local starts at once whatever it is given.
        step = self.at_once if self.name == "submitit_local" else len(settings)
        ends: list[dict[str, Any]] = []
        with ticket.held() as signals:
            try:
                plugin = Plugins.instance().instantiate_launcher(self.context, job, self.config)
                for first in range(0, len(settings), step):
                    if not ticket.holds():
                        ends.append(NOT_BEGUN)
                        break
                    numbers = range(len(settings))[first : first + step]
                    returned = plugin.launch([[f"+run={number}"] for number in numbers], initial_job_idx=first)
                    ends += [each.return_value for each in returned]
            except Exception as error:  # each plugin, and what lies below it, has errors of its own
                if not signals:
                    raise ZooError(f"hydra/launcher={self.name}: {first_line(error)}; {GOES_ON}") from error
            finally:
                if self.name == "joblib":  # its processes would wait for more, in the folder that was this one's
                    from joblib.externals.loky import get_reusable_executor

                    get_reusable_executor().shutdown(wait=True, kill_workers=True)
        if signals:
            raise Stopped(signals[0], f"stopped by {signal.Signals(signals[0]).name}; {GOES_ON}")
        failed = [end for end in ends if end["exit_code"]]
        for end in sorted(failed, key=lambda end: end["exit_code"] >= 128):  # what is wrong before what it has stopped
            error = ZooError(f"{end['error']}; {GOES_ON}")
            error.exit_code = end["exit_code"]
            raise error


def check_name(overrides: list[str], installed: list[str]) -> None:
    """Raises ConfigError for a launcher that is not there, with the command that installs it, or the valid names."""
    for text in overrides:
        key, _, name = text.partition("=")
        if key != "hydra/launcher" or name in installed:
            continue
        if name in PLUGINS:
            raise ConfigError(f"{text} needs the package {PLUGINS[name]}: pip install {PLUGINS[name]}")
        valid = sorted({*installed, *PLUGINS})
        raise ConfigError(f"unknown hydra/launcher {name!r}{nearest(name, valid)}; valid: {', '.join(valid)}")


@dataclass
class Ticket:
    """A file that says whether a launching of the sweep still goes on."""

    path: Path
    text: str  # of this launching and no other
    pid: int | None  # the process without which it does not go on; None: it may be on another machine

    def holds(self) -> bool:
        """Whether it goes on."""
        try:
            return self.launcher_lives() and self.path.read_text() == self.text
        except FileNotFoundError:
            return False

    def launcher_lives(self) -> bool:
        """Whether the launching process does, where it has to."""
        try:
            if self.pid:
                os.kill(self.pid, 0)  # asks only
            return True
        except (ProcessLookupError, PermissionError):  # the latter: of somebody else by now
            return False

    @contextlib.contextmanager
    def held(self) -> Iterator[list[int]]:
        """Holds within; the signals received, which take it away. A second one does not wait for the runs."""
        received: list[int] = []

        def receive(signum: int, frame: Any) -> None:
            if received:
                os._exit(128 + signum)
            received.append(signum)
            self.path.unlink(missing_ok=True)
            os.write(2, b"stopping: the runs save where they are\n")

        before = {signum: signal.signal(signum, receive) for signum in (signal.SIGINT, signal.SIGTERM)}
        write_whole(self.path, self.text.encode())
        try:
            yield received
        finally:
            self.path.unlink(missing_ok=True)
            for signum, handler in before.items():
                signal.signal(signum, handler)


@dataclass
class Job:
    """What a launcher's process calls, again and again: trains the run of that number and says how it ended."""

    train_one: Callable[[Settings], Any]
    plan: Path  # the settings of all runs, by number
    ticket: Ticket
    threads: int | None

    def __call__(self, config: DictConfig) -> dict[str, Any]:
        """The exit code that the run alone would have had, and its error. What it writes to stderr is kept."""
        settings = self.settings(config.run)
        folder = Path(settings.run_dir or "")
        if not self.ticket.holds():
            return NOT_BEGUN
        if self.threads:
            torch.set_num_threads(self.threads)
        folder.mkdir(parents=True, exist_ok=True)
        print(f"{folder / 'output.txt'}: begins", file=sys.stderr)
        with open(folder / "output.txt", "a", buffering=1) as output, contextlib.redirect_stderr(output):
            end = self.train(settings)
        if 0 < end["exit_code"] < 128 and self.ticket.holds():
            self.ticket.path.unlink(missing_ok=True)  # one after the other, the sweep would end here too
        print(f"{folder / 'output.txt'}: {end['error']}", file=sys.stderr)
        if not self.ticket.launcher_lives():
            os._exit(end["exit_code"])  # nobody is left to answer to
        return end

    def train(self, settings: Settings) -> dict[str, Any]:
        """How the run ends. No exception leaves this process: not all of them would arrive as they were."""
        try:
            with stopped_without(self.ticket):
                self.train_one(settings)
            return {"exit_code": 0, "error": "done"}
        except ZooError as error:
            return {"exit_code": error.exit_code, "error": str(error)}
        except OSError as error:  # of a library that writes by itself
            name = error.filename or "writing"
            return {"exit_code": OutputError.exit_code, "error": f"{name}: {error.strerror or error}"}
        except Exception as error:
            traceback.print_exc()
            found = f"{type(error).__name__}: {first_line(error)}"
            return {"exit_code": 1, "error": f"{found}; the traceback is in {settings.run_dir}/output.txt"}

    def settings(self, number: int) -> Settings:
        """Those of that run, as they were checked."""
        values = json.loads(self.plan.read_text())[number]
        parts = {"trainer": TrainerConfig(**values.pop("trainer")), "logger": LoggerConfig(**values.pop("logger"))}
        return Settings(**values, **parts)


@contextlib.contextmanager
def stopped_without(ticket: Ticket) -> Iterator[None]:
    """Once the ticket is gone, the training within is asked to save and stop as by SIGTERM; what is no training ends.

    Ctrl-C in a terminal reaches all of its processes: the launching one answers it, for the others too.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    over = threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_SECONDS):
            training = signal.getsignal(signal.SIGTERM) != signal.SIG_IGN  # zoo/callbacks.py answers
            if training and not ticket.holds():
                os.kill(os.getpid(), signal.SIGTERM)
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        signal.signal(signal.SIGTERM, before)
