"""Processes forked from one that has imported everything: each in a session of its own, none of them left behind.

For Linux: a child asks the kernel to end it with its parent, and a parent to be handed what its children leave.
"""

import contextlib
import ctypes
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

END_WITH_PARENT, TAKE_ORPHANS = 1, 36  # PR_SET_PDEATHSIG and PR_SET_CHILD_SUBREAPER of prctl(2)
LOOK_EVERY = 0.002  # seconds

CHILDREN: list["Child"] = []  # of this process, those that have not been reaped


class Overdue(Exception):
    """Something took longer than its limit."""


class Child:
    """`work()` in a forked process that has `folder` as its current one; it ends with this process at the latest.

    name: what it prints goes to `folder/name.out` and `folder/name.err`. code: its exit code, or minus the signal that
    has killed it, once it is reaped. cpu_seconds: what it has computed, then.
    """

    def __init__(self, work: Callable[[], object], folder: Path, name: str = "child"):
        self.folder, self.name = folder, name
        self.code: int | None = None
        self.cpu_seconds = 0.0
        self.started = time.monotonic()
        parent = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of Python >= 3.12, where pytest has threads
            self.pid = os.fork()
        if self.pid == 0:
            self.live(work, parent)
        CHILDREN.append(self)

    def live(self, work: Callable[[], object], parent: int) -> None:
        """All that the child does; it never returns."""
        code = 1
        try:
            os.setsid()
            ask_kernel(END_WITH_PARENT, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)  # it had ended before it could be asked
            CHILDREN.clear()
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for signum in (signal.SIGTERM, signal.SIGALRM):
                signal.signal(signum, signal.SIG_DFL)
            os.chdir(self.folder)
            self.redirect()
            work()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def redirect(self) -> None:
        """Nothing to read, and what is printed into files; whatever had taken the place of sys.stdout before."""
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, stream in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{self.name}.{stream}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
        sys.stdout, sys.stderr = (open(n, "w", buffering=1, closefd=False) for n in (1, 2))

    @property
    def printed(self) -> str:
        """What it has written to stdout."""
        return (self.folder / f"{self.name}.out").read_text()

    @property
    def errors(self) -> str:
        """What it has written to stderr."""
        return (self.folder / f"{self.name}.err").read_text()

    @property
    def running(self) -> bool:
        """Whether it has not ended; it may still wait to be reaped."""
        return self.code is None and os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def send(self, signum: int) -> bool:
        """Send it a signal; whether it was still running."""
        running = self.running
        if running:
            os.kill(self.pid, signum)
        return running

    def wait(self, seconds: float) -> int:
        """Its exit code, as `code`. Raises Overdue, and ends it, when it runs on for so long."""
        try:
            until(lambda: not self.running, seconds, f"{self.name} ran on for {seconds:g} s")
        finally:
            self.end()
        return self.code if self.code is not None else 1

    def end(self) -> None:
        """Kill it, with what it has started in its session, if it still runs; reap it."""
        if self.code is not None:
            return
        for kill in (os.kill, os.killpg):  # not reaped yet, so the number is still its own; see setsid for the second
            with contextlib.suppress(ProcessLookupError):
                kill(self.pid, signal.SIGKILL)
        _, status, usage = os.wait4(self.pid, 0)
        self.code, self.cpu_seconds = os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
        CHILDREN.remove(self)

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *error: object) -> None:
        self.end()


def until(holds: Callable[[], Any], seconds: float, otherwise: str) -> None:
    """Wait until it holds. Raises Overdue, which says `otherwise`."""
    limit = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > limit:
            raise Overdue(otherwise)
        time.sleep(LOOK_EVERY)


def ask_kernel(what: int, value: int) -> None:
    """Set an attribute of this process."""
    if ctypes.CDLL(None, use_errno=True).prctl(what, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def take_orphans() -> None:
    """From here on whatever the children of this process leave behind is its own child."""
    ask_kernel(TAKE_ORPHANS, 1)


def end_all(grace: float = 0.0) -> int:
    """End and reap all children of this process, also those that it was handed by `take_orphans`.

    How many of these last were still there after `grace` seconds: they had been left behind.
    """
    for child in list(CHILDREN):
        child.end()
    limit, left = time.monotonic() + grace, set()
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return len(left)
        if pid == 0:
            if time.monotonic() > limit:
                for orphan in offspring(os.getpid()):
                    left.add(orphan)
                    os.kill(orphan, signal.SIGKILL)  # not reaped yet: the number is its own
            time.sleep(LOOK_EVERY)


def offspring(parent: int) -> list[int]:
    """The processes that a process has started or was handed, without theirs."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(path.parent.name))
    return found
