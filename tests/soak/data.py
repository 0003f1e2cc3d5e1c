"""Part C, data: what does not come, comes wrong, lies damaged or cannot be learnt from is told in one line."""

import contextlib
import gzip
import hashlib
import io
import itertools
import json
import math
import os
import pickle
import random
import shutil
import socket
import tarfile
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from test_checkpoint import Bomb
from test_cifar10 import fake_archive
from test_multi30k import CORPUS
from test_pictures import picture, write_tree, zipped

import zoo
from soak.children import Child, until
from soak.files import refused, typed
from soak.frame import Counts, Wrong, fault, must
from soak.interruption import nothing_lies_about, put
from soak.runs import Training
from zoo import cli, shell
from zoo.data import cifar10, fetch, irish, mnist, multi30k, reviews, shakespeare, text8, word_tests
from zoo.data.fetch import File
from zoo.errors import ConfigError, DataError
from zoo.registry import build

QUIET = ["figures=false", "logger=csv", "trainer.progress=false"]
PATIENCE = 0.5  # seconds that a server may be silent, in these trials
LIMIT = 40.0


# --- every data set that is fetched, in small -------------------------------------------------------------------------


@dataclass
class Site:
    """What a server has for one data set, and where its files lie when they have been fetched.

    sent: path on the server -> what it sends. kept: name below the root -> what must lie there. arguments: of the data
    set. pin: from here on, in this process, these are the files that it expects, and that address is asked for them.
    """

    name: str
    sent: dict[str, bytes]
    kept: dict[str, bytes]
    pin: Callable[[str], None]
    arguments: dict[str, Any] = field(default_factory=dict)

    def load(self, root: Path) -> Any:
        """The data set, read, with its files in that folder."""
        data = build("data", self.name, {"root": str(root), **self.arguments})
        data.load()
        return data

    def is_whole(self, root: Path) -> bool:
        """Whether each of its files lies there as it was sent."""
        return all((root / name).exists() and (root / name).read_bytes() == raw for name, raw in self.kept.items())


def pinned(name: str, raw: bytes) -> File:
    """A file as a data set expects it."""
    return File(name, hashlib.sha256(raw).hexdigest(), len(raw))


def idx(array: np.ndarray) -> bytes:
    """An array of bytes in MNIST's format."""
    head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return head + array.tobytes()


def small_mnist() -> Site:
    """120 and 20 digits of noise."""
    draw = np.random.default_rng(0)
    kept, sent, files = {}, {}, []
    for file in mnist.FILES:
        count = 120 if file.name.startswith("train") else 20
        shape = (count, 28, 28) if "images" in file.name else (count,)
        raw = idx(draw.integers(10 if "labels" in file.name else 256, size=shape, dtype=np.uint8))
        kept[f"MNIST/raw/{file.name}"], sent[f"/{file.name}.gz"] = raw, gzip.compress(raw, mtime=0)
        files.append(pinned(file.name, raw))

    def pin(address: str) -> None:
        mnist.FILES, mnist.MIRROR = tuple(files), f"{address}/"

    return Site("mnist", sent, kept, pin, {"validation": 20, "batch_size": 10})


def small_text(module: Any, name: str, text: str) -> Site:
    """A text of its own for shakespeare or irish."""
    raw = text.encode()

    def pin(address: str) -> None:
        module.URL, module.FILE = f"{address}/{module.FILE.name}", pinned(module.FILE.name, raw)

    return Site(name, {f"/{module.FILE.name}": raw}, {module.FILE.name: raw}, pin, {"sequence_length": 20})


def small_reviews() -> Site:
    """Forty, of five words."""
    dice, file = random.Random(0), io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for label, number in itertools.product(("neg", "pos"), range(0, 1000, 50)):
            words = " ".join(dice.choice("the a film is good bad long plot".split()) for _ in range(30))
            archive.writestr(f"movie_reviews/{label}/cv{number:03}_1.txt", words)

    def pin(address: str) -> None:
        reviews.URL, reviews.FILE = f"{address}/movie_reviews.zip", pinned("movie_reviews.zip", file.getvalue())

    arguments = {"vocab_size": 9, "max_length": 12}
    raw = file.getvalue()
    return Site("reviews", {"/movie_reviews.zip": raw}, {"movie_reviews.zip": raw}, pin, arguments)


def small_multi30k() -> Site:
    """Twelve pairs, several times."""
    sent, kept, files = {}, {}, {}
    for part in multi30k.FILES:
        for number, language in enumerate(multi30k.LANGUAGES):
            text = "".join(f"{pair[number]}\n" for pair in CORPUS)
            raw = gzip.compress(text.encode(), mtime=0)
            name = f"{part}.{language}.gz"
            sent[f"/{name}"] = kept[f"multi30k/{name}"] = raw
            files.setdefault(part, []).append(pinned(name, raw))

    def pin(address: str) -> None:
        multi30k.FILES, multi30k.URL = files, address

    return Site("multi30k", sent, kept, pin, {"vocab_size": 120, "batch_size": 4})


def small_text8() -> Site:
    """Two thousand words in a .zip; not judged by any test."""
    dice, file = random.Random(0), io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("text8", " ".join(dice.choice("abcdefgh") * 2 for _ in range(2000)))
    raw = file.getvalue()

    def pin(address: str) -> None:
        text8.URL, text8.FILE = f"{address}/text8.zip", pinned("text8.zip", raw)
        text8.Text8.key = [text8.FILE.sha256]

    arguments = {"similarity": [], "analogies": None, "cache": "corpora"}
    return Site("text8", {"/text8.zip": raw}, {"text8.zip": raw}, pin, arguments)


def small_word_tests() -> Site:
    """The three tests of word vectors, beside a corpus that is there already."""
    raws = {
        "wordsim353.tsv": b"aa\tbb\t5.0\nbb\tcc\t1.0\naa\tcc\t2\n", "simlex999.txt": b"aa\tbb\t5.0\n",
        "questions-words.txt": b": letters\naa bb cc dd\n",
    }  # fmt: skip

    def pin(address: str) -> None:
        word_tests.FOLDER = f"{address}/"
        word_tests.FILES = {name: pinned(name, raw) for name, raw in raws.items()}

    Path("corpus.txt").write_text(" ".join("aa bb cc dd".split() * 500))
    arguments = {"path": str(Path("corpus.txt").resolve()), "cache": "corpora"}
    return Site("corpus", {f"/{name}": raw for name, raw in raws.items()}, raws, pin, arguments)


def small_cifar10() -> Site:
    """Twenty pictures of noise in each of its six files, which torchvision's own checksums are of from here on."""
    from torchvision.datasets import CIFAR10

    folder = Path(tempfile.mkdtemp(dir="."))
    raw = fake_archive(folder)
    md5 = {path.stem: path.read_text() for path in folder.glob("*.md5")}
    shutil.rmtree(folder)

    def pin(address: str) -> None:
        CIFAR10.train_list = [[f"data_batch_{i}", md5[f"data_batch_{i}"]] for i in range(1, 6)]
        CIFAR10.test_list = [["test_batch", md5["test_batch"]]]
        CIFAR10.meta = CIFAR10.meta | {"md5": md5["batches.meta"]}
        cifar10.ARCHIVE = pinned(cifar10.ARCHIVE.name, raw)
        cifar10.URL = f"{address}/cifar.tar"

    return Site("cifar10", {"/cifar.tar": raw}, {cifar10.ARCHIVE.name: raw}, pin, {"validation": 10})


TUNE = "X:1\nT:A tune\nM:6/8\nL:1/8\nK:G Major\nGAB c2d|edB GAB|!\n"
SITES: dict[str, Callable[[], Site]] = {
    "mnist": small_mnist,
    "shakespeare": lambda: small_text(shakespeare, "shakespeare", "To be, or not to be.\n" * 100),
    "irish": lambda: small_text(irish, "irish", f"{TUNE}\n" * 60),
    "reviews": small_reviews,
    "multi30k": small_multi30k,
    "text8": small_text8,
    "word tests": small_word_tests,
    "cifar10": small_cifar10,
}


# --- a server that does what servers do -------------------------------------------------------------------------------


class Server(ThreadingHTTPServer):
    """Sends what a site has, in a way that a fault says; `asked` are the paths, one after the other."""

    daemon_threads = True

    def __init__(self, site: Site, how: str, place: float = 0.5):
        super().__init__(("127.0.0.1", 0), Handler)
        self.site, self.how, self.place = site, how, place
        self.asked: list[str] = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}"

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        super().__exit__(*error)


class Handler(BaseHTTPRequestHandler):
    """Answers of a Server."""

    def do_GET(self) -> None:
        """One of them."""
        server: Any = self.server
        server.asked.append(self.path)
        body, how = server.site.sent.get(self.path, b""), server.how
        first = server.asked.count(self.path) == 1
        part = body[: int(server.place * len(body))]
        with contextlib.suppress(OSError):  # the client has seen enough
            if how in ("404", "403", "500", "503") or how in ("500, then good", "503, then good") and first:
                self.send_error(int(how[:3]))
            elif how == "a page":
                self.answer(b"<html>please log in</html>")
            elif how == "cut short" or how == "cut short, then good" and first:
                self.answer(part, len(body))
            elif how == "cut short, and says so":
                self.answer(part)
            elif how == "flipped":
                place = min(int(server.place * len(body)), len(body) - 1)
                self.answer(body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :])
            elif how == "another file":
                self.answer(random.Random(0).randbytes(len(body)))
            elif how == "a part, as was not asked for":
                self.answer(part, status=206)
            elif how == "endless":
                self.answer(body + bytes(50 << 20))
            elif how == "nothing":
                self.answer(b"")
            elif how == "garbage":
                self.wfile.write(b"\x16\x03garbage\r\n\r\n")
            elif how == "a redirect to itself":
                self.answer(b"", status=302, location=self.path)
            elif how == "a redirect to nowhere":
                self.answer(b"", status=302, location="http://[nowhere/x")
            elif how == "silent":
                time.sleep(LIMIT)
            elif how in ("silent in its midst", "crawls"):
                self.head(200, len(body))
                self.wfile.write(part)
                for i in range(len(part), len(body)):
                    time.sleep(LIMIT if how != "crawls" else PATIENCE / 5)
                    self.wfile.write(body[i : i + 1])
            elif how == "slow":  # but it comes
                self.head(200, len(body))
                for i in range(10):
                    self.wfile.write(body[i * len(body) // 10 : (i + 1) * len(body) // 10])
                    time.sleep(server.place / 10)
            else:
                self.answer(body)

    def answer(self, body: bytes, length: int | None = None, status: int = 200, location: str = "") -> None:
        """All of it."""
        self.head(status, len(body) if length is None else length, location)
        self.wfile.write(body)

    def head(self, status: int, length: int, location: str = "") -> None:
        """What comes before a body."""
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        if location:
            self.send_header("Location", location)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


# --- C1: servers ------------------------------------------------------------------------------------------------------

BAD = (
    "404", "403", "500", "503", "a page", "cut short", "cut short, and says so", "flipped", "another file",
    "a part, as was not asked for", "endless", "nothing", "garbage", "a redirect to itself", "a redirect to nowhere",
    "silent", "silent in its midst", "crawls", "refused", "no such host",
)  # fmt: skip
MENDED = ("500, then good", "503, then good", "cut short, then good")


@fault("C1", "a server that fails", cases=[*BAD, *MENDED], times=4, limit=60)
def bad_server(dice: random.Random, folder: Path, how: str) -> Counts:
    """One line with the address and the file, soon, and nothing is kept; the next time, from a good one, all of it."""
    os.chdir(folder)
    site = SITES[dice.choice(list(SITES))]()
    fetch.SECONDS, fetch.PAUSE = PATIENCE, 0.01
    root = folder / "data"
    with Server(site, how, dice.random()) as server:
        nowhere = {"refused": "http://127.0.0.1:9", "no such host": "http://no-such-host.invalid"}
        address = nowhere.get(how, server.address)
        site.pin(address)
        started = time.monotonic()
        if how in MENDED:
            site.load(root)
            must(server.asked.count(server.asked[0]) == 2, f"it was asked {server.asked}")
        else:
            line = refused(lambda: site.load(root), address, by=DataError)
            names = [name.rpartition("/")[2] for name in site.kept]
            must(any(name in line for name in names) or "not the file expected" in line, f"no file is named: {line}")
            must(not [path for path in root.rglob("*") if path.is_file()], "something was kept")
        seconds = time.monotonic() - started
        must(seconds < 3 * (2 * PATIENCE + 1), f"it took {seconds:.1f} s")
        asked = server.asked.count(server.asked[0]) if server.asked else 0
        lasting = how[:3] in ("404", "403") or how in ("a page", "flipped", "another file", "endless", "nothing")
        must(not lasting or asked == 1, f"asked {asked} times for what does not change")
    with Server(site, "good") as server:
        site.pin(server.address)
        site.load(root)
    must(site.is_whole(root), "not all files are there")
    nothing_lies_about(root)
    return {"refused" if how in BAD else "fetched at the second attempt": 1}


# --- C2: kills during a download --------------------------------------------------------------------------------------


@fault("C2", "SIGKILL during a download or while it is unpacked", cases=list(SITES), times=2, limit=90)
def killed_in_a_download(dice: random.Random, folder: Path, name: str) -> Counts:
    """The next time all is there, and nothing else lies about; up to three kills before."""
    os.chdir(folder)
    site, root, landed = SITES[name](), folder / "data", 0
    duration = dice.uniform(0.05, 0.4)
    with Server(site, "slow", duration) as server:
        site.pin(server.address)
        for number in range(dice.randint(1, 3)):
            asked = len(server.asked)
            with Child(lambda: site.load(root), folder, f"killed_{number}") as child:
                until(lambda n=asked: len(server.asked) > n or not child.running, LIMIT, "the server was not asked")
                time.sleep(dice.random() * 1.2 * duration)
                if child.send(9):
                    landed += 1
                elif child.wait(LIMIT) != 0:
                    raise Wrong(f"it failed: {child.errors.splitlines()[-1]}")
            partly = {path.name for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")}
            must(all((root / n).read_bytes() == raw for n, raw in site.kept.items() if (root / n).exists()),
                 f"a part of a file lies under its name: {partly}")  # fmt: skip
        site.load(root)
    must(site.is_whole(root), "not all files are there")
    nothing_lies_about(root)
    return {"kills": landed}


# --- C3: raw files ----------------------------------------------------------------------------------------------------


def spoilt(raw: bytes, how: str, dice: random.Random) -> bytes:
    """A file that has suffered."""
    place = dice.randrange(len(raw))
    if how == "cut short":
        return raw[:place]
    if how == "a flipped bit":
        return raw[:place] + bytes([raw[place] ^ 1 << dice.randrange(8)]) + raw[place + 1 :]
    if how == "a zeroed block":
        return raw[:place] + bytes([255 - raw[place]]) + bytes(len(raw[place + 1 : place + 400])) + raw[place + 400 :]
    return {"emptied": b"", "something behind": raw + b"x", "a page": b"<html>please log in</html>"}[how]


SPOILT = ("cut short", "a flipped bit", "a zeroed block", "emptied", "something behind", "a page")


@fault("C3", "a raw file that is damaged", cases=list(SITES), times=2, limit=60)
def damaged_raw_file(dice: random.Random, folder: Path, name: str) -> Counts:
    """Each file of each data set, in each way: named, not read, not written over."""
    os.chdir(folder)
    site, root, count = SITES[name](), folder / "data", 0
    with Server(site, "good") as server:
        site.pin(server.address)
        site.load(root)
    for (kept, raw), how in itertools.product(site.kept.items(), SPOILT):
        path = root / kept
        bad = spoilt(raw, how, dice)
        path.write_bytes(bad)
        shutil.rmtree("corpora", ignore_errors=True)  # where numbered words are, which need no text any more
        refused(lambda: site.load(root), path.name, "is damaged", "delete it", by=DataError)
        must(path.read_bytes() == bad, "it was written over")
        path.write_bytes(raw)
        count += 1
    path.unlink()
    path.mkdir()
    refused(lambda: site.load(root), path.name, by=DataError)
    path.rmdir()
    path.write_bytes(raw)
    site.load(root)
    return {"files": count}


UNFIT = ("labels that do not fit", "a label of eleven", "other sizes", "lines that do not match", "a foreign class")


@fault("C3b", "raw files that are in order and do not fit together", cases=UNFIT, limit=60)
def unfit(dice: random.Random, folder: Path, how: str) -> Counts:
    """Told by their checksums, and pictures without one by their folders."""
    os.chdir(folder)
    if how == "a foreign class":
        tree = write_tree(folder / "cifar10-images", ("train", "test"))
        zipped(tree, folder / cifar10.AS_JPEG)
        refused(lambda: load("cifar10", root=str(folder), cache="cache"), "60,000 pictures", by=DataError)
        return {"files": 1}
    site = SITES["multi30k" if how == "lines that do not match" else "mnist"]()
    site.pin("http://127.0.0.1:9")
    for name, raw in site.kept.items():
        if how == "labels that do not fit" and "labels" in name:
            raw = idx(np.zeros(dice.randrange(20), dtype=np.uint8))
        elif how == "a label of eleven" and "labels" in name:
            place = 8 + dice.randrange(20)
            raw = raw[:place] + bytes([dice.randint(10, 255)]) + raw[place + 1 :]
        elif how == "other sizes" and "images" in name:
            raw = idx(np.zeros((20, 14, 14), dtype=np.uint8))
        elif name.endswith("de.gz"):
            raw = gzip.compress(b"eins\nzwei\n", mtime=0)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)
    refused(lambda: site.load(folder), "is damaged", by=DataError)
    return {"files": 1}


def load(name: str, **arguments: Any) -> Any:
    """A data set, read."""
    data = build("data", name, arguments)
    data.load()
    return data


def hostile_cifar(live: Bomb, folder: Path) -> None:
    """A pickle with code in the place of one of CIFAR-10's, which are pickles: refused before it is opened."""
    os.chdir(folder)
    site, root = small_cifar10(), folder / "data"
    with Server(site, "good") as server:
        site.pin(server.address)
        site.load(root)
    for name in ("data_batch_1", "test_batch", "batches.meta"):
        path = root / cifar10.UNPACKED / name
        good = path.read_bytes()
        path.write_bytes(pickle.dumps(live))
        refused(lambda: site.load(root), cifar10.UNPACKED, "is damaged", by=DataError)
        path.write_bytes(good)


@fault("C3c", "what was kept of the data is damaged", cases=("numbers of words", "decoded pictures"), times=2, limit=60)
def damaged_cache(dice: random.Random, folder: Path, what: str) -> Counts:
    """Named, and not trained on."""
    os.chdir(folder)
    if what == "numbers of words":
        (folder / "text.txt").write_text("".join(dice.choice("abcdef ") for _ in range(50_000)))
        arguments = {"path": "text.txt", "similarity": [], "analogies": None, "cache": "cache", "min_count": 1}
        name = "corpus"
    else:
        write_tree(folder / "pets")
        name, arguments = "image_folder", {"root": "pets", "image_size": 16, "cache": "cache"}
    load(name, **arguments)
    files = [path for path in (folder / "cache").rglob("*") if path.is_file()]
    for path, how in itertools.product(files, SPOILT):
        raw = path.read_bytes()
        path.write_bytes(spoilt(raw, how, dice))
        refused(lambda: load(name, **arguments), "is damaged", "delete it", by=DataError)
        path.write_bytes(raw)
    load(name, **arguments)
    return {"files": len(files) * len(SPOILT)}


# --- C4: several at once ----------------------------------------------------------------------------------------------


@fault("C4", "several processes at once, the first time", cases=[f"{n}, {s}" for n in (2, 8) for s in SITES], limit=90)
def at_once(dice: random.Random, folder: Path, case: str) -> Counts:
    """All of them have the data, of which each file was fetched once; also where the one that fetches is killed."""
    os.chdir(folder)
    count, name = case.split(", ")
    site, root, duration = SITES[name](), folder / "data", dice.uniform(0.05, 0.3)
    killed = dice.random() < 0.4
    with Server(site, "slow", duration) as server, contextlib.ExitStack() as stack:
        site.pin(server.address)
        first = stack.enter_context(Child(lambda: site.load(root), folder, "first"))
        until(lambda: server.asked, LIMIT, "the server was not asked")
        children = []
        for number in range(int(count) - 1):
            children.append(stack.enter_context(Child(lambda: site.load(root), folder, f"child_{number}")))
            time.sleep(dice.uniform(0, duration / 2))
        killed = killed and first.send(9)
        for child in [*children, *[first] * (not killed)]:
            must(child.wait(LIMIT) == 0, f"one of them failed: {(child.errors.splitlines() or [''])[-1]}")
        more = len(server.asked) - len(site.sent)
    must(site.is_whole(root), "not all files are there")
    must(more == 0 or killed and more == 1, f"{len(server.asked)} downloads of {len(site.sent)} files")
    nothing_lies_about(root)
    return {"processes": int(count), "of them killed": int(killed), "downloads": len(server.asked)}


# --- C5: archives -----------------------------------------------------------------------------------------------------

MEMBERS = ("..", "absolute", "a link out", "a link out, then through it", "a hard link out", "a device", "a pipe")


@fault("C5", "an archive with members that lead elsewhere", cases=[f"tar: {m}" for m in MEMBERS] + ["zip"], limit=60)
def archive_slip(dice: random.Random, folder: Path, case: str) -> Counts:
    """Nothing is written outside, and nothing of it stays inside."""
    root = folder / "deep" / "data"
    root.mkdir(parents=True)
    if case == "zip":
        return zip_slip(folder, root)
    (folder / "secret").write_text("secret")
    path = root / "set.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for member in slipping(case.removeprefix("tar: "), folder):
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    before = {each for each in folder.rglob("*") if root not in each.parents}
    refused(lambda: fetch.unpacked(path, root / "set"), "cannot unpack", by=DataError)
    after = {each for each in folder.rglob("*") if root not in each.parents}
    must(after == before and not Path("/tmp/out_of_an_archive").exists(), f"outside: {after - before}")
    must([each.name for each in root.iterdir()] == ["set.tar.gz"], "something of it stays")
    must((folder / "secret").read_text() == "secret", "written through a link")
    return {"archives": 1}


def slipping(how: str, folder: Path) -> list[tarfile.TarInfo]:
    """Members of which the last leads elsewhere."""

    def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
        about = tarfile.TarInfo(name)
        about.type, about.linkname, about.size = kind, link, 1 if kind == tarfile.REGTYPE else 0
        return about

    return [member("set/good")] + {
        "..": [member("set/../../../out")],
        "absolute": [member("set/x", tarfile.LNKTYPE, "/etc/hostname"), member("/tmp/out_of_an_archive")],
        "a link out": [member("set/link", tarfile.SYMTYPE, "../../..")],
        "a link out, then through it": [member("set/link", tarfile.SYMTYPE, str(folder)), member("set/link/secret")],
        "a hard link out": [member("set/link", tarfile.LNKTYPE, "../../../secret")],
        "a device": [member("set/null", tarfile.CHRTYPE)],
        "a pipe": [member("set/pipe", tarfile.FIFOTYPE)],
    }[how]


def zip_slip(folder: Path, root: Path) -> Counts:
    """Pictures by names that lead elsewhere, and one that unpacks to gigabytes: read, or not, but never unpacked."""
    path = root / "pets.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(40):
            archive.writestr(f"pets/{('cat', 'dog')[number % 2]}/{number}.png", picture(number))
            archive.writestr(f"pets/cat/../../../{number}.png", picture(number))
        archive.writestr("pets/dog/large.png", bytes(300 << 20))
    before = set(folder.rglob("*"))
    with contextlib.suppress(DataError):
        load("image_folder", root=str(path), image_size=16, cache=str(root / "cache"))
    outside = {each for each in set(folder.rglob("*")) - before if (root / "cache") not in [each, *each.parents]}
    must(not outside, f"outside: {outside}")
    return {"archives": 1}


# --- C6: no http in the place of https --------------------------------------------------------------------------------


@fault("C6", "https that is not to be had", cases=("refused", "no TLS", "a redirect to http"), limit=60)
def downgrade(dice: random.Random, folder: Path, how: str) -> Counts:
    """Nothing is ever asked for without encryption."""
    os.chdir(folder)
    fetch.SECONDS, fetch.PAUSE = PATIENCE, 0.01
    site = SITES[dice.choice(list(SITES))]()
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                connection, _ = server.accept()
                with connection:
                    heard.append(connection.recv(100))
                    connection.sendall(b"HTTP/1.0 301 Moved\r\nLocation: http://127.0.0.1/x\r\n\r\n")

        threading.Thread(target=listen, daemon=True).start()
        port = 9 if how == "refused" else server.getsockname()[1]
        site.pin(f"https://127.0.0.1:{port}")
        if how == "a redirect to http":
            import urllib.request

            request = urllib.request.Request("https://example.invalid/x")
            try:
                fetch.NoDowngrade().redirect_request(request, io.BytesIO(), 301, "", {}, "http://example.invalid/x")
            except OSError as error:
                must("refused" in str(error), str(error))
                return {"servers": 1}
            raise Wrong("it follows")
        refused(lambda: site.load(folder / "data"), "could not be fetched", by=DataError)
    must(not [first for first in heard if b"HTTP" in first], f"asked without encryption: {heard[:1]}")
    must(how == "refused" or heard, "nobody came")
    return {"servers": 1}


# --- C7: texts --------------------------------------------------------------------------------------------------------

PROSE = "".join(f"Sentence {i} of a text, so that there is something to learn.\n" for i in range(60))
CHINESE = "学习"
TEXTS: dict[str, tuple[bytes, str]] = {  # and words of the error; without any it is learnt from
    "empty": (b"", "is empty"),
    "a byte-order mark alone": (b"\xef\xbb\xbf", "is empty"),
    "one character": (b"a", "nothing can be learnt"),
    "twelve characters": (b"hello world\n", "fewer than one window|last tenth of them must be two"),
    "shorter than a window": (b"hello world. " * 5, "one window of data.sequence_length=64"),
    "one character, often": (b"a" * 10_000, "nothing can be learnt"),
    "newlines alone": (b"\r\n" * 10_000, "nothing can be learnt"),
    "a NUL byte": (PROSE.encode()[:2000] + b"\0" + PROSE.encode(), "NUL byte at byte offset 2,000"),
    "UTF-16": (PROSE.encode("utf-16"), "NUL byte at byte offset 3"),
    "UTF-16 without Latin letters": ((CHINESE * 2000).encode("utf-16"), "is not UTF-8: byte 0xff at byte offset 0"),
    "latin-1": (b"abc def " * 10 + "été ".encode("latin-1") * 400, "is not UTF-8: byte 0xe9 at byte offset 80"),
    "a lone surrogate": (PROSE.encode() + b"\xed\xa0\x80", "is not UTF-8: byte 0xed"),
    "cut in a character": (PROSE.encode() + b"\xe5\xad", "is not UTF-8: byte 0xe5"),
    "noise": (random.Random(0).randbytes(9000).replace(b"\0", b"x"), "is not UTF-8"),
    "a page that is packed": (gzip.compress(PROSE.encode()), "is no|is not"),
    "a pickle": (pickle.dumps({"text": PROSE}), "is no|is not"),
    "lines of Windows": (PROSE.replace("\n", "\r\n").encode(), ""),
    "lines of an old Mac": (PROSE.replace("\n", "\r").encode(), ""),
    "a byte-order mark before it": (b"\xef\xbb\xbf" + PROSE.encode(), ""),
    "no line end": (PROSE.replace("\n", " ").encode(), ""),
    "odd line ends": (PROSE.replace("\n", "\u2028\x85\x0b\x0c").encode(), ""),
    "other scripts": (f"{CHINESE} обучение \U0001f389 a\u0301 ".encode() * 300, ""),
    "two characters": (b"ab" * 2000, ""),
    "ten megabytes in a line": (b"", ""),
}  # fmt: skip
READERS = {
    "char_rnn": ["model=char_rnn", "model.hidden_size=8"],
    "char_transformer": ["model=char_transformer", "model.hidden_size=8", "model.num_heads=2", "model.num_layers=1"],
}


@fault("C7", "an odd text", cases=[f"{model}, {text}" for text in TEXTS for model in READERS], times=4, limit=120)
def odd_text(dice: random.Random, folder: Path, case: str) -> Counts:
    """Exit code 3 and one line with the file and the place; or at least one step, on something."""
    model, _, text = case.partition(", ")
    content, words = TEXTS[text]
    large = text == "ten megabytes in a line"
    (folder / "text.txt").write_bytes(content if not large else PROSE.replace("\n", " ").encode() * 2700)
    overrides = [*READERS[model], "data=text", "data.path=text.txt", "optimizer=adam", "trainer.max_epochs=1"]
    overrides += ["trainer.max_steps=2", "data.batch_size=64"] if large else ["data.batch_size=8"]
    with Training(folder, overrides) as training:
        if words:
            training.fail(3, "text.txt")
            must(any(each in training.last_line for each in words.split("|")), f"{words!r}: {training.last_line}")
            must(not (folder / "run").exists(), "a run was begun")
            return {"refused": 1}
        must(training.wait(90) == 0, f"exit code {training.code}: {training.last_line}")
    must(training.steps, "no step was taken")
    metrics = json.loads((folder / "run" / "result.json").read_text())["metrics"]
    must(0 < metrics["test/loss"] < math.inf, f"a test loss of {metrics['test/loss']}")
    return {"learnt from": 1}


# --- C8: word vectors -------------------------------------------------------------------------------------------------

WORDS = ["model=word2vec", "data=pydoc_words", "optimizer=sgd", "trainer.max_epochs=1", "data.batch_size=22"]
VALUES = [
    *(f"model.{key}={value}" for key in ("window", "embedding_dim", "negatives", "chunk_length", "block_size",
                                         "negatives_per_chunk") for value in (0, -1)),
    *(f"model.{key}={value}" for key in ("sample", "noise_exponent") for value in (-1, "nan", "inf")),
    "model.window=1.5", "model.negatives=many", "model.architecture=glove", "model.objective=hinge",
    *(f"data.{key}={value}" for key in ("min_count", "batch_size", "max_vocab_size") for value in (0, -1)),
    "data.held_out=0", "data.held_out=1", "data.held_out=nan", "optimizer.lr=0", "optimizer.lr=-1", "optimizer.lr=nan",
]  # fmt: skip


@fault("C8", "bad values for word vectors, on the command line", cases=VALUES, times=4, limit=30)
def bad_word_values(dice: random.Random, folder: Path, value: str) -> Counts:
    """Refused with their rule, as both models of word vectors take them; none of them hangs."""
    os.chdir(folder)
    for model in ("word2vec", "word_svd"):
        if value.startswith("model.") and model == "word_svd" and value.split("=")[0][6:] not in SVD:
            continue
        code, line = typed(cli.main, *WORDS, *QUIET, f"model={model}", value)
        must(code == 2 and line.startswith("error: "), f"exit code {code}: {line}")
        must(value.split("=")[0].split(".")[1] in line, f"{value} is not named: {line}")
    must(not [path for path in folder.rglob("result.json")], "a run was made")
    return {"values": 1}


SVD = ("window", "embedding_dim", "sample", "noise_exponent")
QUESTIONS = ("an unknown word", "a misspelt word", "a corpus as a string", "words as a string", "rare words alone",
             "the same word twice", "no words", "one word", "counts that do not fit", "how many",
             "an empty word")  # fmt: skip


@fault("C8b", "bad questions to word vectors, and bad words", cases=QUESTIONS, times=2, limit=60)
def bad_questions(dice: random.Random, folder: Path, what: str) -> Counts:
    """In one line; of a word that is not known with the three closest spellings."""
    os.chdir(folder)
    network = zoo.load("english-skipgram")
    if what in ("an unknown word", "a misspelt word", "an empty word"):
        known = dice.choice([word for word in network.words[:3000] if len(word) > 4 and word.isalpha()])
        place = dice.randrange(len(known))
        wrong = {"an unknown word": "zzqqxxjj", "an empty word": ""}.get(what, known[:place] + "q" + known[place:])
        for command in (["nearest", "english-skipgram", wrong], ["analogy", "english-skipgram", "king", wrong, "man"]):
            code, line = typed(shell.main, *command)
            must(code == 3 and repr(wrong) in line, f"exit code {code}: {line}")
            if what == "a misspelt word":
                told = line.rpartition("?")[0].rpartition(" mean ")[2] or line
                must(told.count(",") >= 2 or told.count(" or ") >= 1, f"not three spellings: {line}")
    elif what == "how many":
        for count in (0, -1, 10**9):
            code, line = typed(shell.main, "nearest", "english-skipgram", "king", "--count", str(count))
            must(code in (0, 2, 3) and (count > 0) == (code == 0), f"exit code {code} of {count}: {line}")
    elif what in ("a corpus as a string", "rare words alone"):
        (folder / "text.txt").write_text(" ".join(f"word{i}" for i in range(4000)))
        path = "the cat sat on the mat" if what == "a corpus as a string" else "text.txt"
        arguments = {"path": path, "similarity": [], "analogies": None, "cache": "cache"}
        words = "No such file" if what == "a corpus as a string" else "data.min_count"
        refused(lambda: load("corpus", **arguments), words, by=DataError)
    else:
        words: Any = {"words as a string": "abc", "the same word twice": ["a", "a", "b"], "no words": [],
                      "one word": ["a"], "counts that do not fit": ["a", "b"]}[what]  # fmt: skip
        for model in ("word2vec", "word_svd"):
            given = {"words": words, "counts": [3, 2, 1] if what != "one word" else [1], "embedding_dim": 2}
            refused(lambda m=model, g=given: zoo.create(m, **g), by=ConfigError)
    return {"questions": 1}


# --- C9: sets that are hardly any -------------------------------------------------------------------------------------

PETS = ["data=image_folder", "data.root=pets", "data.image_size=28", "data.batch_size=6", "trainer.max_epochs=3"]
ON_PETS = {
    "mlp": ["model=mlp", "optimizer=adam"],
    "alexnet": ["model=alexnet", "model.variant=cifar", "data.image_size=32", "optimizer=sgd", "optimizer.lr=1e-4"],
    "fast_convnet": ["model=fast_convnet", "model.in_channels=3", "optimizer=adam"],
    "autoencoder": ["model=autoencoder", "model.hidden_sizes=[20,10]", "model.output_activation=linear",
                    "model.pretraining_epochs=1", "optimizer=adam"],
    "mlp_and_convnet": ["model=mlp_and_convnet", "optimizer=adam"],
}  # fmt: skip
HARDLY = ("one class", "one picture", "one picture of each class", "an empty folder", "pictures all alike",
          "damaged pictures alone", "one good picture", "a batch larger than the set",
          "a pixel that is no number")  # fmt: skip


@fault("C9", "pictures that are hardly a set", cases=[f"{m}, {h}" for h in HARDLY for m in ON_PETS], times=4, limit=90)
def hardly_pictures(dice: random.Random, folder: Path, case: str) -> Counts:
    """One line, or a training with a step at least and figures that are numbers."""
    model, _, what = case.partition(", ")
    held = f"data.held={'true' if model != 'alexnet' else dice.choice(('true', 'false'))}"
    overrides = [*PETS, *ON_PETS[model], held, "data.num_workers=0"]
    pets = folder / "pets"
    for label in ("cat",) if what == "one class" else ("cat", "dog"):
        (pets / label).mkdir(parents=True)
        each = {"one picture": int(label == "cat"), "one picture of each class": 1, "an empty folder": 0}.get(what, 20)
        for number in range(each):
            raw = picture(0 if what == "pictures all alike" else dice.randrange(10**6))
            if what == "damaged pictures alone" or what == "one good picture" and (label, number) != ("cat", 3):
                raw = raw[: len(raw) // 2]
            ending = "png"
            if what == "a pixel that is no number":
                ending, raw = "tif", not_a_number(number)
            (pets / label / f"{number}.{ending}").write_bytes(raw)
    if what == "a batch larger than the set":
        overrides.append("data.batch_size=100000")
    good = what in ("pictures all alike", "a batch larger than the set", "a pixel that is no number")
    with Training(folder, overrides) as training:
        code = training.wait(LIMIT)
    if code == 0:
        must(training.steps, "no step was taken")
        metrics = json.loads((folder / "run" / "result.json").read_text())["metrics"]
        must(all(math.isfinite(value) for value in metrics.values()), f"not finite: {metrics}")
        must(good or what == "one good picture", f"it trained on {what}")
    else:
        must("Traceback" not in training.errors, f"a traceback before {training.last_line}")
        must(code in (2, 3, 5) and training.last_line.startswith("error: "), f"exit code {code}: {training.last_line}")
        must(not good, f"it is refused: {training.last_line}")
    return {"trained on": int(code == 0), "refused": int(code != 0)}


def not_a_number(number: int) -> bytes:
    """A picture of floats, one of which is NaN."""
    pixels = np.random.default_rng(number).random((20, 16), dtype=np.float32) * 255
    pixels[3, 4] = np.nan
    file = io.BytesIO()
    Image.fromarray(pixels, mode="F").save(file, "TIFF")
    return file.getvalue()


NUMBERS = ["convnet", "momentum", "running means", "phases", "phases with few items", "autoencoder", "nielsen",
           "locally connected", "transfer", "many networks", "perceptron", "echo states",
           "repeated passes"]  # fmt: skip


@fault("C9b", "items that are no numbers", cases=[f"{n}, nan" for n in NUMBERS] + [f"{n}, inf" for n in NUMBERS[:4]])
def poisoned(dice: random.Random, folder: Path, case: str) -> Counts:
    """The run ends with one line, and no checkpoint holds what is no number."""
    from soak.runs import TRAININGS
    from zoo.checkpoint import read_checkpoint
    from zoo.registry import load_all

    name, _, value = case.partition(", ")
    overrides = TRAININGS[name]
    kind = next(text for text in overrides if text.startswith("data=")).removeprefix("data=")

    def poison(data: Any) -> None:
        data.train[0][dice.randrange(3) :: 3] = float(value)

    with Training(folder, overrides, lambda: put(load_all()["data"][kind], "load", after=poison)) as training:
        code = training.wait(LIMIT)
    must(code in (2, 3, 5), f"exit code {code}: {training.last_line}")
    must("Traceback" not in training.errors, f"a traceback before {training.last_line}")
    for path in folder.rglob("*.ckpt"):
        weights = read_checkpoint(path)["state_dict"]
        must(all(w.isfinite().all() for w in weights.values()), f"{path.name} holds what is no number")
    return {"runs": 1}


@fault("C9c", "a batch larger than the set", cases=["convnet", "carried state", "own steps", "sequences", "translator",
                                                    "many networks", "phases", "repeated passes"])  # fmt: skip
def large_batch(dice: random.Random, folder: Path, name: str) -> Counts:
    """One step an epoch, on all of it."""
    from soak.runs import TRAININGS

    overrides = [text for text in TRAININGS[name] if not text.startswith(("data.batch_size", "trainer.max_steps"))]
    with Training(folder, [*overrides, f"data.batch_size={10 ** dice.randint(5, 8)}"]) as training:
        training.succeed()
    must(training.steps, "no step was taken")
    return {"steps": len(training.steps)}
