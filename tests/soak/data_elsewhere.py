"""Part C elsewhere: what torch.hub, torchvision and gensim do with the same faults."""

import contextlib
import hashlib
import io
import itertools
import math
import os
import random
import shutil
import socket
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torchvision

from soak.data import BAD, MEMBERS, SPOILT, Server, Site, slipping, small_mnist, spoilt
from soak.files_elsewhere import apart
from soak.row import Row


def others() -> list[Row]:
    """torch.hub, torchvision and gensim, by the same faults."""
    folder, here = Path(tempfile.mkdtemp()), Path.cwd()
    os.chdir(folder)
    try:
        measures = (servers, raw_files, archives, encryption, word_values)
        return list(itertools.chain(*(measure(folder) for measure in measures)))
    finally:
        os.chdir(here)
        shutil.rmtree(folder)


def servers(folder: Path) -> Iterator[Row]:
    """C1: whether a failed download ends, and the next one, from a good server, gives the file."""
    weights = io.BytesIO()
    torch.save({"w": torch.zeros(1000)}, weights)
    site = Site("net", {"/net.pt": weights.getvalue()}, {}, lambda address: None)
    faults = [how for how in BAD if how not in ("refused", "no such host", "crawls", "endless")]

    def by_hub(address: str, to: Path) -> object:
        return torch.hub.load_state_dict_from_url(f"{address}/net.pt", str(to), progress=False, weights_only=True)

    def by_torchvision(address: str, to: Path) -> object:
        md5 = hashlib.md5(site.sent["/net.pt"]).hexdigest()  # as its data sets do
        torchvision.datasets.utils.download_url(f"{address}/net.pt", str(to), md5=md5)
        return torch.load(to / "net.pt", weights_only=True)

    for who, fetch_it in (("torch.hub", by_hub), ("torchvision", by_torchvision)):
        right, hangs, poisoned = 0, [], []
        for number, how in enumerate(faults):
            to = folder / f"{who}_{number}"
            with Server(site, how) as server:
                ends = apart(partial(fetch_it, server.address, to), folder, 4)
            with Server(site, "good") as server:
                again = apart(partial(fetch_it, server.address, to), folder, 4)
            hangs += [how] * (ends == "no end")
            poisoned += [how] * bool(again)
            right += ends not in ("", "no end") and not again
        words = f"{len(hangs)} hang, after {len(poisoned)} the damaged file is used for ever"
        yield Row("C1", who, right, len(faults), words)


def raw_files(folder: Path) -> Iterator[Row]:
    """C3: damaged files of MNIST."""
    site, dice = small_mnist(), random.Random(0)
    found, named, count = 0, 0, 0
    for name, how in itertools.product(site.kept, SPOILT):
        root = folder / "vision"
        for each, good in site.kept.items():
            (root / each).parent.mkdir(parents=True, exist_ok=True)
            (root / each).write_bytes(spoilt(good, how, dice) if each == name else good)
        count += 1
        try:
            for train in (True, False):
                vision = torchvision.datasets.MNIST(root, train=train)
                [vision[i] for i in range(len(vision))]
        except Exception as error:
            found += 1
            named += Path(name).name in str(error)
    yield Row("C3", "torchvision", found, count, f"{count - found} are read as if they were good, {named} are named")


def archives(folder: Path) -> Iterator[Row]:
    """C5: members that lead elsewhere."""
    (folder / "a").mkdir()
    right = 0
    for number, how in enumerate(MEMBERS[:5]):
        deep = folder / "a" / f"deep_{number}" / "data"
        deep.mkdir(parents=True)
        (deep.parent / "secret").write_text("secret")
        with tarfile.open(deep / "set.tar", "w") as archive:
            for member in slipping(how, deep.parent):
                archive.addfile(member, io.BytesIO(b"x" * member.size))
        out = Path("/tmp/out_of_an_archive")
        with contextlib.suppress(Exception):
            torchvision.datasets.utils.extract_archive(str(deep / "set.tar"), str(deep / "out"))
        inside = [path for path in (deep / "out").rglob("*") if path.is_symlink()]
        escaped = out.exists() or (deep.parent / "secret").read_text() != "secret" or inside
        escaped = escaped or any((deep / up / "out").is_file() for up in ("..", "../..", "../../.."))
        out.unlink(missing_ok=True)
        right += not escaped
    yield Row("C5", "torchvision", right, 5, f"of {5 - right} archives a member lands, or leads, outside")


def encryption(folder: Path) -> Iterator[Row]:
    """C6: whether http is asked where https fails."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            while True:
                connection, _ = server.accept()
                with connection:
                    heard.append(connection.recv(100))

        threading.Thread(target=listen, daemon=True).start()
        address = f"https://127.0.0.1:{server.getsockname()[1]}/x"
        with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
            torchvision.datasets.utils.download_url(address, str(folder / "plain"))
    plainly = any(b"HTTP" in first for first in heard)
    words = "asks again by http" if plainly else "refused where TLS fails at once"
    yield Row("C6", "torchvision", int(not plainly), 1, words)


def word_values(folder: Path) -> Iterator[Row]:
    """C8: values of word2vec that are none."""
    from gensim.models import Word2Vec

    sentences = [["a", "b", "c", "d", "e"] * 4] * 50
    right, accepted, hangs = 0, [], []
    values: list[dict[str, Any]] = [{"window": 0}, {"window": -1}, {"vector_size": 0}, {"vector_size": -1}]
    values += [{"negative": -1}, {"alpha": -1.0}, {"alpha": math.nan}, {"sample": -1.0}]
    for value in values:
        came = apart(lambda v=value: Word2Vec(sentences, min_count=1, workers=1, epochs=1, **v), folder, 5)
        named = next(iter(value)) in came
        right += named
        hangs += [str(value)] * (came == "no end")
        accepted += [str(value)] * (came == "")
    yield Row("C8", "gensim", right, len(values), f"{len(accepted)} are accepted, {len(hangs)} hang")
