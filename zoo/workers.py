"""The processes that `python train.py trainer=ddp` starts: it has checked everything, waits, and answers for them.

Whatever happens, none of them stays behind: when one fails the others are ended, and each notices when this process is
gone.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from zoo.errors import OutputError, ProcessError, Stopped, ZooError
from zoo.processes import PATIENCE

if TYPE_CHECKING:
    from zoo.config import Settings

GRACE = 3.0  # seconds that the others have to end by themselves after one has failed


class End(NamedTuple):
    """How a process has ended: its exit code (minus the number of a signal), and what it has said of it.

    error: in one line. trace: where in the code, of a mistake of ours. result: of the run; the first process has it.
    """

    exit_code: int
    error: str = ""
    trace: str = ""
    result: dict[str, Any] = {}


class Worker:
    """One process of several, and the connection to it: each end of it is told when the other one is gone."""

    def __init__(self, rank: int, settings: "Settings", run_folder: tuple[Path, str | None], port: int):
        self.rank, self.processes = rank, settings.trainer.devices
        self.connection, theirs = Pipe()
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": self.processes}
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": torch.get_num_threads()}
        environment = {name: str(value) for name, value in {**place, **meeting}.items()}
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        command = [sys.executable, *(f"-W{option}" for option in sys.warnoptions)]
        self.process = subprocess.Popen(
            [*command, "-c", "from zoo.workers import work; work()", str(theirs.fileno())],
            env=os.environ | environment,
            pass_fds=[theirs.fileno()],
            stdout=subprocess.DEVNULL,  # the result line is the parent's
            stderr=messages(),
            start_new_session=True,  # Ctrl-C in a terminal reaches the parent only, which passes it on
        )
        theirs.close()
        with contextlib.suppress(OSError):  # it is gone already, and `end` says how
            self.connection.send((settings, run_folder))

    def end(self) -> End:
        """How it has ended, once its connection has something to say."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            return End(self.process.wait())

    def kill(self) -> None:
        """End it, if it has not ended."""
        self.process.kill()
        self.process.wait()
        self.connection.close()


def launch(settings: "Settings", run_folder: tuple[Path, str | None]) -> dict[str, Any]:
    """Train in `trainer.devices` processes of this machine; gives the result of the first.

    run_folder: the folder of the run, and the checkpoint to go on from or None. When one of them fails all are ended.
    Raises ZooError: what went wrong in the one that failed; ProcessError where it was killed; Stopped.
    """
    workers: list[Worker] = []
    with passing_on(workers) as received:
        try:
            port = free_port()
            for rank in range(settings.trainer.devices):
                workers.append(Worker(rank, settings, run_folder, port))
            for signum in received:  # some of them may have been started after it came
                send(workers, signum)
            ends = watch(workers)
        finally:
            for worker in workers:
                worker.kill()
    if len(ends) < len(workers) or any(end.exit_code for end in ends.values()):
        raise failure(ends, len(workers), received, run_folder[0])
    return ends[0].result


def watch(workers: list[Worker]) -> dict[int, End]:
    """Wait until all have ended, by rank; those that do not, after others have, are missing."""
    ends: dict[int, End] = {}
    until: float | None = None
    while len(ends) < len(workers):
        running = {worker.connection: worker for worker in workers if worker.rank not in ends}
        ready = wait(list(running), None if until is None else max(0.0, until - time.monotonic()))
        if not ready:
            break
        for connection in ready:
            ends[running[connection].rank] = running[connection].end()
        failed = any(end.exit_code for end in ends.values())
        until = until or time.monotonic() + PATIENCE.total_seconds()
        if failed:
            until = min(until, time.monotonic() + GRACE)
    for worker in workers:
        if worker.rank in ends:
            with contextlib.suppress(subprocess.TimeoutExpired):  # it has said all, and may have more to tidy up
                worker.process.wait(GRACE)
    return ends


def failure(ends: dict[int, End], processes: int, received: list[int], folder: Path) -> ZooError:
    """What to tell the user when not all have ended well: the others fail with the one that did, and know no reason."""
    failed = {rank: end for rank, end in ends.items() if end.exit_code}  # in the order of their ends
    for end in failed.values():
        if end.error and not end.trace:
            return known(end.exit_code, end.error)
    if received:
        name = signal.Signals(received[0]).name
        return Stopped(received[0], f"stopped by {name}; a run that had begun goes on with ckpt_path=last")
    saved = folder / "checkpoints" / "last.ckpt"
    where = f"{saved} is what was saved, ckpt_path=last continues" if saved.exists() else "nothing was saved yet"
    # One that was killed, one that made a mistake, and only then one that has lost the connection to them.
    for rank, end in sorted(failed.items(), key=lambda item: (bool(item[1].trace), lost_the_others(item[1]))):
        how = end.error or f"has ended with exit code {end.exit_code}"
        if end.exit_code < 0:
            how = f"was killed by {signal.Signals(-end.exit_code).name}"
        print(end.trace, end="", file=sys.stderr)
        kind = ZooError if end.trace else ProcessError
        return kind(f"process {rank + 1} of {processes} {how}; {where}")
    return ProcessError(f"{processes - len(ends)} of {processes} processes did not end with the others; {where}")


def lost_the_others(end: End) -> bool:
    """Whether a process has failed only because another had."""
    return any(word in end.error for word in ("closed by peer", "reset by peer", "gloo", "NCCL"))


def known(exit_code: int, text: str) -> ZooError:
    """The error of that exit code."""
    if exit_code >= 128:
        return Stopped(exit_code - 128, text)
    kinds = [kind for kind in ZooError.__subclasses__() if kind.exit_code == exit_code]
    return (kinds[0] if kinds else ZooError)(text)


@contextlib.contextmanager
def passing_on(workers: list[Worker]) -> Iterator[list[int]]:
    """Within, SIGTERM and Ctrl-C go to the workers, who save and stop; a second one ends all. The signals received."""
    received: list[int] = []

    def receive(signum: int, frame: Any) -> None:
        if received:
            for worker in workers:
                worker.kill()
            os._exit(128 + signum)
        received.append(signum)
        send(workers, signum)

    before = {signum: signal.signal(signum, receive) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def send(workers: list[Worker], signum: int) -> None:
    """A signal for each that has not ended."""
    for worker in workers:
        worker.process.send_signal(signum)


def messages() -> Any:
    """Where this process writes its messages; None, which is where it was started to, if that is no file."""
    try:
        sys.stderr.fileno()
    except (OSError, ValueError, AttributeError):  # a notebook's
        return None
    return sys.stderr


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def work() -> None:
    """What a started process does: train its part, and tell the parent how it has ended."""
    connection = Connection(int(sys.argv[1]))
    for signum in (signal.SIGINT, signal.SIGTERM):  # while nothing is trained; the parent says so
        signal.signal(signum, lambda signum, frame: os._exit(128 + signum))
    try:
        settings, run_folder = connection.recv()
    except EOFError:
        os._exit(ProcessError.exit_code)
    threading.Thread(target=end_with_parent, args=(connection,), daemon=True).start()
    end = trained(settings, run_folder)
    sys.stderr.flush()
    connection.send(end)
    sys.exit(end.exit_code)


def end_with_parent(connection: Connection) -> None:
    """Wait for the parent, however it ends, and end at once with it: no process stays behind."""
    with contextlib.suppress(EOFError, OSError):
        connection.recv()
    os._exit(ProcessError.exit_code)


def trained(settings: "Settings", run_folder: tuple[Path, str | None]) -> End:
    """Train this process's part of the run; how that ended."""
    from zoo.train import run

    try:
        return End(0, result=run(settings, run_folder))
    except ZooError as error:
        return End(error.exit_code, str(error))
    except OSError as error:  # of a library that writes by itself
        return End(OutputError.exit_code, f"{error.filename or 'writing'}: {error.strerror or error}")
    except Exception as error:
        text = f"failed with {type(error).__name__}: {str(error).partition(chr(10))[0]}"
        return End(1, text, traceback.format_exc())
