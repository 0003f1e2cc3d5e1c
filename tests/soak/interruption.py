"""Part A, interruption: killed, stopped or without room at any moment, a run loses nothing and repeats nothing."""

import contextlib
import ctypes
import hashlib
import http.server
import itertools
import os
import random
import resource
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

import zoo.fit
from soak.children import Child, offspring, until
from soak.frame import Counts, fault, must
from soak.runs import LIMIT, TRAININGS, Training, learnt_the_same, whole
from zoo.callbacks import Checkpoints, SafeCheckpointIO
from zoo.checkpoint import read_checkpoint
from zoo.data import shakespeare
from zoo.data.digits import Digits
from zoo.data.fetch import File
from zoo.module import ZooModule

ANSWER = 5.0  # seconds in which a signal is answered
CHECKPOINTS: tuple[list[str], ...] = (
    [], ["trainer.checkpoint_every_n_steps=1"], ["trainer.checkpoint_every_n_steps=4"]
)  # fmt: skip
ELEVEN_STEPS = (  # trainings with so many steps in each of their three epochs
    "convnet", "momentum", "running means", "carried state", "attention", "phases", "own steps"
)  # fmt: skip
OTHER_DEVICE = Path("/dev/shm")

Hook = Callable[..., None]


# --- A1: SIGKILL at random moments ----------------------------------------------------------------------------------


@fault("A1", "SIGKILL at random moments, resumed with the same command", cases=list(TRAININGS), times=6, limit=120)
def killed_at_random(dice: random.Random, folder: Path, name: str) -> Counts:
    """Up to three kills between the first step and the end; the same bits, and each step once."""
    expected = whole(name, folder)
    overrides = [*TRAININGS[name], *dice.choice(CHECKPOINTS)]
    counts = {"kills": 0, "of them before the last step": 0}
    for _ in range(dice.randint(1, 3)):
        with Training(folder, overrides) as training:
            training.reach()
            left = 1 - training.step / expected.steps
            time.sleep(dice.uniform(0, max(left, 0.2)) * expected.seconds)
            if training.send(signal.SIGKILL) and training.wait(LIMIT) == -signal.SIGKILL:
                counts["kills"] += 1
                counts["of them before the last step"] += training.step < expected.steps - 1
            else:
                training.succeed()
    with Training(folder, overrides) as training:
        training.succeed()
    learnt_the_same(folder, name)
    return counts


# --- A2: SIGKILL inside a save --------------------------------------------------------------------------------------


@fault("A2", "SIGKILL inside a save", cases=("one device", "TMPDIR elsewhere", "the run elsewhere"), times=3)
def killed_in_a_save(dice: random.Random, folder: Path, where: str) -> Counts:
    """The file is the one before or the one after, the run goes on from it, and nothing of it lies about."""
    if os.stat(folder).st_dev == os.stat(OTHER_DEVICE).st_dev:
        return {"left out, as there is but one device": 1}
    there = Path(tempfile.mkdtemp(dir=OTHER_DEVICE))
    try:
        temporary = there if where == "TMPDIR elsewhere" else folder / "tmp"
        temporary.mkdir(exist_ok=True)
        if where == "the run elsewhere":
            (there / "run").mkdir()
            (folder / "run").symlink_to(there / "run")
        kills, inside = 5, 0
        stopped_at(15, folder, "convnet", lambda: temporary_folder(temporary))
        last = folder / "run" / "checkpoints" / "last.ckpt"
        for number in range(kills):
            inside += kill_a_save(dice, last, folder, f"saving_{number}", temporary)
        with Training(folder, TRAININGS["convnet"], lambda: temporary_folder(temporary)) as training:
            training.succeed()
        learnt_the_same(folder, "convnet")
        nothing_lies_about(folder / "run")
        must(not list(temporary.iterdir()), f"left in TMPDIR: {[path.name for path in temporary.iterdir()]}")
    finally:
        shutil.rmtree(there)
    return {"kills": kills, "of them inside a save": inside}


def kill_a_save(dice: random.Random, last: Path, folder: Path, name: str, temporary: Path) -> bool:
    """Let a process write the checkpoint for ever, kill it, and read what is there; whether a save was cut."""
    log = folder / f"{name}.txt"
    log.touch()

    def save_for_ever() -> None:
        temporary_folder(temporary)
        content = read_checkpoint(last)
        with open(log, "a", buffering=1) as file:
            for version in itertools.count():
                content["ballast"] = torch.full((1_000_000,), version)  # 8 MB
                file.write("begin\n")
                SafeCheckpointIO().save_checkpoint(content, last)
                file.write(f"{time.monotonic()}\n")

    def ends() -> list[float]:
        return [float(line) for line in log.read_text().split() if line != "begin"]

    with Child(save_for_ever, folder, name) as child:
        until(lambda: len(ends()) >= 2 or not child.running, LIMIT, "no second save")
        must(child.running, f"saving ended by itself: {child.errors}")
        first, second = ends()[:2]
        time.sleep(dice.uniform(0.5, 2.5) * (second - first))
        child.send(signal.SIGKILL)
        child.wait(LIMIT)
    begun, ended = log.read_text().count("begin"), len(ends())
    ballast = read_checkpoint(last)["ballast"]
    must(ended - 1 <= ballast[0] < begun and (ballast == ballast[0]).all(), f"save {ended - 1} is lost")
    return begun > ended


def temporary_folder(folder: Path) -> None:
    """From here on, in this process, temporary files go there."""
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = None


def nothing_lies_about(folder: Path) -> None:
    """No file under a temporary name. Raises Wrong."""
    left = [path.name for path in folder.rglob("*.part")]
    must(not left, f"{len(left)} files under temporary names are still there, as {left[:1]}")


# --- A3: killed at a chosen place -----------------------------------------------------------------------------------

STEPS = (0, 1, 9, 10, 11, 12, 21, 22, 31, 32)  # the first, those around the ends of epochs of eleven, the last
PLACES = (
    *(f"before step {step}" for step in STEPS), "in validation", "between best and last", "before a rename",
    "after a rename", "before the last is kept as best", "before the test",
)  # fmt: skip


@fault("A3", "SIGKILL at a chosen place", cases=PLACES, times=3)
def killed_at_a_place(dice: random.Random, folder: Path, place: str) -> Counts:
    """Each place, with checkpoints by epochs and by steps; the same bits, and each step once."""
    name = "momentum" if place == "between best and last" else dice.choice(ELEVEN_STEPS)  # which keeps the best
    overrides = [*TRAININGS[name], *dice.choice(CHECKPOINTS)]
    count = dice.randrange(3)
    whole(name, folder)
    with Training(folder, overrides, lambda: kill_at(place, count)) as training:
        training.be_killed()
    with Training(folder, overrides) as training:
        training.succeed()
    learnt_the_same(folder, name)
    return {"kills": 1}


def kill_at(place: str, count: int) -> None:
    """Let this process kill itself there; where it comes there often, after so many times."""
    times = itertools.count()

    def kill(*arguments: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def kill_later(*arguments: Any) -> None:
        if next(times) == count:
            kill()

    def kill_at_step(module: ZooModule, *arguments: Any) -> None:
        if module.global_step == int(place.split()[-1]):
            kill()

    if place.startswith("before step"):
        put(ZooModule, "on_train_batch_start", before=kill_at_step)
    elif place == "in validation":
        put(ZooModule, "validation_step", before=kill_later)
    elif place == "between best and last":
        put(Checkpoints, "save_last", before=kill_later)
    elif place == "before a rename":
        put(os, "replace", before=kill_later)
    elif place == "after a rename":
        put(os, "replace", after=kill_later)
    elif place == "before the last is kept as best":
        put(Checkpoints, "keep", before=kill)
    elif place == "before the test":
        put(zoo.fit, "test", before=kill)


def put(owner: Any, name: str, before: Hook = lambda *given: None, after: Hook = lambda *given: None) -> None:
    """Do something before or after each call of `owner.name`, in this process."""
    original = getattr(owner, name)

    def wrapped(*arguments: Any, **options: Any) -> Any:
        before(*arguments)
        given = original(*arguments, **options)
        after(*arguments)
        return given

    setattr(owner, name, wrapped)


def stopped_at(step: int, folder: Path, name: str, before: Callable[[], object] = lambda: None) -> bytes:
    """Train up to that step, where it is killed; the bytes of the checkpoint that it leaves."""

    def prepare() -> None:
        before()
        kill_at(f"before step {step}", 0)

    with Training(folder, TRAININGS[name], prepare) as training:
        training.be_killed()
    return (folder / "run" / "checkpoints" / "last.ckpt").read_bytes()


# --- A4: SIGTERM, Ctrl-C, twice ---------------------------------------------------------------------------------------

SIGNALS = {
    "SIGTERM": (signal.SIGTERM,), "SIGINT": (signal.SIGINT,), "SIGTERM twice": (signal.SIGTERM, signal.SIGTERM),
    "SIGINT twice": (signal.SIGINT, signal.SIGINT), "both": (signal.SIGINT, signal.SIGTERM),
}  # fmt: skip


@fault("A4", "SIGTERM or SIGINT at a random step, once and twice", cases=list(SIGNALS), times=2)
def stopped_by_signals(dice: random.Random, folder: Path, how: str) -> Counts:
    """One: saved after the step that it finds; the second: at once. Exit code 143 or 130, and then the same bits."""
    name = dice.choice(list(TRAININGS))
    expected = whole(name, folder)
    step, signals = dice.randrange(expected.steps), SIGNALS[how]
    landed = 0
    with Training(folder, TRAININGS[name]) as training:
        must(training.reach(step), f"it ended before step {step}: {training.last_line}")
        for number, signum in enumerate(signals):
            if number:
                time.sleep(dice.choice((0, dice.uniform(0, 0.02))))
            landed += training.send(signum)
        if not landed or training.wait(ANSWER) == 0:
            return {"came too late": 1}
        codes = [128 + signum for signum in signals[:landed]]
        must(training.code in codes, f"exit code {training.code} instead of {codes[-1]}: {training.last_line}")
    if len(signals) == 1:
        must(f"stopped by {how}" in training.last_line, f"it does not say that it was stopped: {training.last_line}")
        saved = read_checkpoint(folder / "run" / "checkpoints" / "last.ckpt")["global_step"]
        must(saved == training.step + 1, f"{training.step + 1} steps taken, {saved} saved")
    with Training(folder, TRAININGS[name]) as training:
        training.succeed()
    learnt_the_same(folder, name)
    return {"signals": landed}


# --- A5: SIGTERM elsewhere --------------------------------------------------------------------------------------------


@fault("A5", "SIGTERM elsewhere", cases=("in a download", "in validation", "in the last save", "in the test"))
def stopped_elsewhere(dice: random.Random, folder: Path, where: str) -> Counts:
    """Exit code 143 within five seconds; nothing is half written, and the same command goes on."""
    if where == "in a download":
        return stopped_in_a_download(dice, folder)
    name, came = dice.choice(ELEVEN_STEPS), folder / "came"
    count = dice.randrange(3) if where == "in validation" else 0
    times = itertools.count()

    def stop(*arguments: Any) -> None:
        if next(times) == count:
            came.touch()
            os.kill(os.getpid(), signal.SIGTERM)

    def prepare() -> None:
        if where == "in validation":
            put(ZooModule, "validation_step", before=stop)
        elif where == "in the last save":
            put(Checkpoints, "keep", before=stop)
        else:
            put(ZooModule, "test_step", before=stop)

    whole(name, folder)
    with Training(folder, TRAININGS[name], prepare) as training:
        until(lambda: came.exists() or not training.running, LIMIT, f"it does not come {where}")
        training.fail(143, "stopped by SIGTERM", ANSWER)
    read_checkpoint(folder / "run" / "checkpoints" / "last.ckpt")
    with Training(folder, TRAININGS[name]) as training:
        training.succeed()
    learnt_the_same(folder, name)
    return {"signals": 1}


def stopped_in_a_download(dice: random.Random, folder: Path) -> Counts:
    """The server has sent a part and then sends nothing; the next time it sends all."""
    text = "".join(dice.choice("abc de\n") for _ in range(200_000)).encode()
    sent = dice.randrange(len(text))
    overrides = ["model=char_rnn", "model.hidden_size=8", "data=shakespeare", "data.root=data", "trainer.max_steps=2"]
    with slow_server(text, sent) as (address, stalled, go_on):

        def fetch_from_there() -> None:
            shakespeare.URL = address
            shakespeare.FILE = File("tinyshakespeare.txt", hashlib.sha256(text).hexdigest(), len(text))

        with Training(folder, overrides, fetch_from_there) as training:
            until(stalled.is_set, LIMIT, "the server was not asked")
            time.sleep(dice.uniform(0, 0.1))
            must(training.send(signal.SIGTERM), f"it ended before: {training.last_line}")
            training.fail(143, "stopped by SIGTERM", ANSWER)
        must(not (folder / "data" / "tinyshakespeare.txt").exists(), "a part of the file lies under its name")
        go_on.set()
        with Training(folder, overrides, fetch_from_there) as training:
            training.succeed()
    must((folder / "data" / "tinyshakespeare.txt").read_bytes() == text, "the file is not the one sent")
    nothing_lies_about(folder / "data")
    return {"signals": 1}


@contextlib.contextmanager
def slow_server(body: bytes, sent: int) -> Iterator[tuple[str, threading.Event, threading.Event]]:
    """Its address, what it sets when it has sent so many bytes, and what lets it send the others."""
    stalled, go_on = threading.Event(), threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):  # the client was stopped
                self.wfile.write(body[:sent])
                stalled.set()
                go_on.wait(LIMIT)
                self.wfile.write(body[sent:])

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/text", stalled, go_on
        finally:
            go_on.set()
            server.shutdown()


# --- A6: a full disk --------------------------------------------------------------------------------------------------


@fault("A6", "a full disk", cases=("files limited in size", "a full file system"), times=2)
def full_disk(dice: random.Random, folder: Path, how: str) -> Counts:
    """Exit code 6 and one line with the path; the checkpoint before is untouched, and the run goes on from it."""
    name = dice.choice(ELEVEN_STEPS)
    disk = folder / "run"
    whole(name, folder)
    mounted = how == "a full file system" and mount_small_disk(disk, 64 << 20)
    good = stopped_at(15, folder, name)
    room = dice.randrange(3000, len(good) // 3)  # moments are up to two thirds, and a phase may have none
    filler = disk / "filler"
    if mounted:
        filler.write_bytes(bytes(shutil.disk_usage(disk).free - room))

    def limit() -> None:
        temporary_folder(OTHER_DEVICE)
        if not mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    with Training(folder, TRAININGS[name], limit) as training:
        training.fail(6, "error: cannot write run/")
    must((disk / "checkpoints" / "last.ckpt").read_bytes() == good, "the checkpoint before is another one")
    nothing_lies_about(disk)
    filler.unlink(missing_ok=True)
    with Training(folder, TRAININGS[name]) as training:
        training.succeed()
    learnt_the_same(folder, name)
    return {"full file systems" if mounted else "limits": 1}


def mount_small_disk(folder: Path, size: int) -> bool:
    """Mount a file system of that size, which only this process and its children see; False where that is forbidden."""
    folder.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    own_mounts, private = 0x20000, 0x4000 | 1 << 18  # CLONE_NEWNS; MS_REC | MS_PRIVATE
    return (
        libc.unshare(own_mounts) == 0
        and libc.mount(b"none", b"/", None, private, None) == 0
        and libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, f"size={size}".encode()) == 0
    )


# --- A7: no place to write --------------------------------------------------------------------------------------------

NO_PLACES = ("a file", "below a file", "read-only", "no such device", "a name too long", "a run")


@fault("A7", "an output folder that cannot be", cases=NO_PLACES, limit=30)
def no_place(dice: random.Random, folder: Path, how: str) -> Counts:
    """Exit code 6 and one line, within a second and before any data is read."""
    (folder / "file").touch()
    (folder / "held").mkdir()
    (folder / "held" / "config.yaml").touch()
    (folder / "closed").mkdir(mode=0o555)
    place = {
        "a file": "file", "below a file": "file/deep/run", "read-only": "closed/run", "a run": "held",
        "no such device": "/proc/none/run", "a name too long": f"{'x' * dice.randint(256, 3000)}/run",
    }[how]  # fmt: skip
    read = folder / "read"

    def prepare() -> None:
        put(Digits, "load", before=lambda *arguments: read.touch())
        if how == "read-only" and os.geteuid() == 0:
            folder.chmod(0o755)
            os.chown(folder, 65534, 65534)
            os.setuid(65534)  # the superuser may write anywhere

    with Training(folder, [*TRAININGS["convnet"], f"run_dir={place}"], prepare) as training:
        training.fail(6, "error: ", 10)
        must(training.errors.count("\n") == 1, f"more than one line: {training.errors!r}")
    must(not read.exists(), "the data was read before")
    must(training.cpu_seconds <= 1, f"it took {training.cpu_seconds:.1f} s to say so")
    return {}


# --- A8: a worker that dies -------------------------------------------------------------------------------------------


@fault("A8", "SIGKILL of a process that reads pictures", limit=90)
def killed_reader(dice: random.Random, folder: Path) -> Counts:
    """The run ends within ten seconds and says why; what it had saved goes on."""
    name = "pictures from files"
    whole(name, folder)
    landed = 0
    with Training(folder, TRAININGS[name]) as training:
        training.reach(dice.randrange(20))
        readers = offspring(training.pid)
        if readers and training.running:
            os.kill(dice.choice(readers), signal.SIGKILL)
        if training.wait(10) != 0:
            landed = 1
            must(training.code == 3, f"exit code {training.code} instead of 3: {training.last_line}")
            # Where the kill finds Python in a place that cannot fail, it says so before.
            must(training.last_line.startswith("error: "), f"no error in one line: {training.last_line}")
    with Training(folder, TRAININGS[name]) as training:
        training.succeed()
    learnt_the_same(folder, name)
    return {"kills": landed}


# --- A9: no memory ----------------------------------------------------------------------------------------------------


@fault("A9", "no memory left at a random step")
def no_memory(dice: random.Random, folder: Path) -> Counts:
    """An error in one line, the checkpoint before is whole, and the run goes on from it where there is memory."""
    name = "large batches"
    expected = whole(name, folder)
    step, room = dice.randrange(expected.steps), dice.randrange(1 << 20, 10 << 20)

    def limit(module: ZooModule, *arguments: Any) -> None:
        if module.global_step == step:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            most = pages * resource.getpagesize() + room
            resource.setrlimit(resource.RLIMIT_AS, (most, most))

    with Training(folder, TRAININGS[name], lambda: put(ZooModule, "on_train_batch_start", before=limit)) as training:
        short = training.wait(LIMIT) != 0
        if short:
            training.fail(6, "memory")
    last = folder / "run" / "checkpoints" / "last.ckpt"
    if last.exists():
        read_checkpoint(last)
    with Training(folder, TRAININGS[name]) as training:
        training.succeed()
    learnt_the_same(folder, name)
    return {"out of memory": int(short)}
