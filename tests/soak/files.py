"""Part B, checkpoint files: what is damaged, foreign or hostile is refused in one line, and nothing in it ever runs."""

import contextlib
import io
import json
import math
import os
import pickle
import random
import resource
import shutil
import signal
import struct
import threading
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from conftest import ROOT
from test_checkpoint import Bomb
from torch import Tensor

import zoo
from soak.children import Child
from soak.frame import Counts, Wrong, fault, must
from soak.interruption import stopped_at
from soak.runs import LIMIT, TRAININGS, Training, expect_small_data, learnt, learnt_the_same, whole
from zoo import card, cli, pretrained, shell
from zoo.checkpoint import load_weights, read_checkpoint, write_checkpoint
from zoo.config import compose_settings
from zoo.errors import CheckpointError, ConfigError, ZooError
from zoo.train import run
from zoo.weight_files import packed, sealed

SHIPPED = zoo.list_models(pretrained=True)
RELEASES = sorted((ROOT / "tests" / "evidence").glob("release_*.ckpt"))
ROOM = 48 << 20  # bytes of memory that a refusal may take beside twice the size of the file


# --- what the faults of this part share -------------------------------------------------------------------------------


def run_of(name: str, folder: Path) -> Path:
    """The directory of the whole training of that name, not to be written to."""
    whole(name, folder)
    return folder.parent / f"whole_{name.replace(' ', '_')}" / "run"


def copied(name: str, folder: Path) -> Path:
    """Its last.ckpt in a run directory of this trial."""
    shutil.copytree(run_of(name, folder), folder / "run")
    expect_small_data(folder.parent)  # also in this process, where some commands run
    return folder / "run" / "checkpoints" / "last.ckpt"


def published(name: str, folder: Path) -> bytes:
    """The network of a training as a .safetensors file, always the same bytes: safetensors mixes the header's keys."""
    content = read_checkpoint(run_of(name, folder))
    raw = packed(pretrained.built(content, name), content["zoo"])
    end = 8 + int.from_bytes(raw[:8], "little")
    header = json.dumps(json.loads(raw[8:end]), sort_keys=True, separators=(",", ":")).encode()
    return sealed(struct.pack("<Q", len(header)) + header + raw[end:])


def refused(action: Callable[[], object], *words: str, by: type[ZooError] = CheckpointError) -> str:
    """The one line with which it is refused, and which has these words. Raises Wrong."""
    try:
        action()
    except by as error:
        line = str(error)
        must("\n" not in line and len(line) < 1000, f"not one line: {line[:200]!r}")
        for word in words:
            must(word in line, f"{word!r} is not in {line!r}")
        return line
    except Exception as error:
        raise Wrong(f"{type(error).__name__} instead of {by.__name__}: {str(error).partition(chr(10))[0]}") from error
    raise Wrong("it was taken")


def typed(main: Callable[[list[str]], None], *arguments: str) -> tuple[int, str]:
    """The exit code of a command in this process, and its last line on stderr."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            main([*arguments])
        except SystemExit as end:
            return int(end.code or 0), (said.getvalue().splitlines() or [""])[-1]
    raise Wrong(f"{arguments[0]} does not end as a command does")


def every_door_refuses(source: Path, training: str) -> int:
    """The API, `zoo show`, `zoo evaluate`, pretrained= and, of a last.ckpt, ckpt_path=; how many doors that were."""
    refused(lambda: zoo.load(source))
    refused(lambda: zoo.create(model_of(training), pretrained=source))
    doors = [(shell.main, ["show", str(source)]), (shell.main, ["evaluate", str(source)])]
    overrides = [*TRAININGS[training], "run_dir=run", "figures=false", "logger=csv"]
    doors.append((cli.main, [*overrides, "run_dir=other", f"pretrained={source}"]))
    if source.name == "last.ckpt":
        doors.append((cli.main, [*overrides, "ckpt_path=last"]))
    for main, arguments in doors:
        code, line = typed(main, *arguments)
        must(code == 4 and line.startswith("error: "), f"{arguments[0]}: exit code {code}: {line}")
    return 2 + len(doors)


def model_of(training: str) -> str:
    """The model that a training is of."""
    return next(text for text in TRAININGS[training] if text.startswith("model=")).removeprefix("model=")


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server on this machine that has the files of a folder."""

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *given: Any, **options: Any):
            super().__init__(*given, directory=str(folder), **options)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


# --- B1: files that are no checkpoints --------------------------------------------------------------------------------


def other_files(good: bytes) -> dict[str, bytes]:
    """What people take for a checkpoint by mistake."""
    archive, arrays, legacy, plain = (io.BytesIO() for _ in range(4))
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("config.json", "{}")
    np.savez(arrays, a=np.zeros(3))
    torch.save({"state_dict": {"w": torch.zeros(3)}, "epoch": 3}, plain)
    torch.save({"w": torch.zeros(3)}, legacy, _use_new_zipfile_serialization=False)
    return {
        "empty": b"", "text": b"hello world\n" * 50, "html": b"<!doctype html><title>Log in</title>",
        "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
        "zeros": bytes(len(good)), "noise": random.Random(0).randbytes(5000), "PNG": b"\x89PNG\r\n\x1a\n" + bytes(99),
        "HDF5 of Keras": b"\x89HDF\r\n\x1a\n" + bytes(2000), "a pickle": pickle.dumps({"w": [1.0, 2.0]}),
        "NumPy's": arrays.getvalue(), "Keras' archive": archive.getvalue(), "another project's": plain.getvalue(),
        "an old state dict": legacy.getvalue(), "TorchScript": torchscript(),
        "another project's .safetensors": safetensors.torch.save({"w": torch.zeros(3)}),
        "something behind": good + b"x", "something before": b"x" + good,
    }  # fmt: skip


def torchscript() -> bytes:
    """A network as torch.jit saves it."""
    raw = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # as long as there are such files
        torch.jit.save(torch.jit.script(torch.nn.Identity()), raw)
    return raw.getvalue()


@fault("B1", "a file that is no checkpoint, or only a part of one", cases=list(TRAININGS), limit=120)
def no_checkpoint(dice: random.Random, folder: Path, name: str) -> Counts:
    """Truncated at every twentieth, foreign, not there: each refused by name; some of them at every door."""
    last = copied(name, folder)
    good, weights = last.read_bytes(), published(name, folder)
    files = {f"{i} twentieths": good[: len(good) * i // 20] for i in range(20)} | other_files(good)
    files |= {"without its last byte": good[:-1]}
    counts = {"files": 0, "at each of six doors": 0}
    chosen = dice.sample(list(files), 2)
    for what, content in files.items():
        last.write_bytes(content)
        if what in chosen:
            counts["at each of six doors"] += every_door_refuses(last, name) == 6
        line = refused(lambda: zoo.load(last), "last.ckpt")
        must(what != "empty" or "it is empty" in line, f"an empty file is not called one: {line}")
    sealed_files = {f"{i} twentieths": weights[: len(weights) * i // 20] for i in range(20)} | other_files(weights)
    path = folder / "net.safetensors"
    for content in sealed_files.values():
        path.write_bytes(content)
        refused(lambda: zoo.load(path), "net.safetensors")
    path.unlink()
    last.unlink()
    last.mkdir()
    os.mkfifo(folder / "pipe.ckpt")
    (folder / "loop.ckpt").symlink_to(folder / "loop.ckpt")
    others = (last, path, folder / "nothing.ckpt", folder / "pipe.ckpt", folder / "loop.ckpt", Path("/dev/null"))
    for place in others:
        every_door_refuses(place, name)
    counts["files"] = len(files) + len(sealed_files) + len(others)
    return counts


# --- B2: flipped bits, zeroed blocks ----------------------------------------------------------------------------------

DAMAGES = 20  # of each kind in each file of a trial


def flipped(good: bytes, dice: random.Random) -> bytes:
    """With one bit that is another."""
    bad = bytearray(good)
    bad[dice.randrange(len(bad))] ^= 1 << dice.randrange(8)
    return bytes(bad)


def zeroed(good: bytes, dice: random.Random) -> bytes:
    """With a block of zeros, as of a disk or a network; there was something else in it."""
    while True:
        size = dice.choice((16, 256, 4096))
        start = dice.randrange(len(good))
        bad = good[:start] + bytes(min(size, len(good) - start)) + good[start + size :]
        if bad != good:
            return bad


@fault("B2", "a flipped bit or a zeroed block", cases=[*TRAININGS, *SHIPPED], times=3, limit=90)
def damaged(dice: random.Random, folder: Path, name: str) -> Counts:
    """In last.ckpt, best.ckpt and .safetensors of a training; in what ships, read by its path and by its name."""
    if name in SHIPPED:
        good = pretrained.shipped(name)
        paths = [folder / "net.safetensors", folder / "net.ckpt", folder / f"{name}.safetensors"]
        files = dict.fromkeys(paths, good)
        pretrained.index()  # as it is there
        pretrained.files = lambda package: folder
    else:
        run = run_of(name, folder)
        files = {folder / each: (run / "checkpoints" / each).read_bytes() for each in ("last.ckpt", "best.ckpt")}
        files[folder / "net.safetensors"] = published(name, folder)
    count = 0
    for path, good in files.items():
        source: str | Path = name if path.stem == name else path
        if path.suffix != ".ckpt" or name not in SHIPPED:  # else it is no checkpoint, damaged or not
            path.write_bytes(good)
            zoo.load(source)
        for damage in (flipped, zeroed):
            for _ in range(DAMAGES):
                path.write_bytes(damage(good, dice))
                refused(lambda source=source: zoo.load(source), path.name)
                count += 1
    return {"damaged files": count}


# --- B3: of another network -------------------------------------------------------------------------------------------


@fault("B3", "a checkpoint of another network, or of a newer zoo", cases=list(TRAININGS), limit=90)
def of_another(dice: random.Random, folder: Path, name: str) -> Counts:
    """Each is told what the file holds, the first weight that does not fit, and both shapes."""
    last = copied(name, folder)
    content = read_checkpoint(last)
    about = content["zoo"]
    other = dice.choice([model for model in zoo.list_models() if model != about["model"]])
    refused(lambda: zoo.create(other, pretrained=last), "holds model=" + about["model"], other)

    network = pretrained.built(read_checkpoint(last), last)
    for weight in dice.sample(list(network.state_dict()), min(3, len(network.state_dict()))):
        bent = torch.zeros(*network.state_dict()[weight].shape, 2)
        state = content["state_dict"] | {f"network.{weight}": bent}
        gone = {key: value for key, value in content["state_dict"].items() if key != f"network.{weight}"}
        shapes = [weight, str(tuple(bent.shape)), str(tuple(network.state_dict()[weight].shape)), about["model"]]
        for weights, words in ((state, shapes), (gone, [weight, "nothing of that name"])):
            bad = {**content, "state_dict": weights}
            refused(lambda bad=bad: load_weights(network, bad, "it"), "it does not fit", *words)
            write_checkpoint(bad, last)
            refused(lambda: zoo.load(last), "last.ckpt")
    if vocabulary := about["arguments"].get("vocabulary"):
        turned = {**about, "arguments": {**about["arguments"], "vocabulary": vocabulary[::-1]}}
        refused(lambda: load_weights(network, {**content, "zoo": turned}, "it"), "vocabulary")
    write_checkpoint({**content, "zoo": {**about, "format": 2, "version": "9.1"}}, last)
    for newer in (last, folder / "net.safetensors"):
        if newer != last:
            newer.write_bytes(packed(network, about).replace(b'\\"format\\": 1', b'\\"format\\": 2'))
        refused(lambda newer=newer: zoo.load(newer), "format 2, written by a newer zoo", "install a newer lecture-zoo")
    unknown = {"model": "no_such_net", "arguments": {}}
    for change in (unknown, {"arguments": {**about["arguments"], "no_such_argument": 1}}):
        write_checkpoint({**content, "zoo": {**about, **change}}, last)
        refused(lambda: zoo.load(last), "no_such_", by=ConfigError)
    return {"files": 11}


@fault("B3b", "a checkpoint of the same network in other sizes", cases=("char_transformer", "char_rnn", "mlp"))
def of_other_sizes(dice: random.Random, folder: Path, model: str) -> Counts:
    """Hidden 32 against 64: by the API and as a run that starts from it or goes on with it."""
    name, key, value = {
        "char_transformer": ("attention", "hidden_size", 4 * dice.randint(5, 20)),
        "char_rnn": ("carried state", "hidden_size", dice.randint(17, 70)),
        "mlp": ("momentum", "hidden_sizes", [dice.randint(3, 90)]),
    }[model]
    last = copied(name, folder)
    line = refused(lambda: zoo.create(model, pretrained=last, **{key: value}), f"{last} does not fit: it has (")
    must("the network (" in line, f"not both shapes: {line}")
    overrides = [*TRAININGS[name], "figures=false", "logger=csv", f"model.{key}={value}"]
    for more, words in (
        (["run_dir=other", f"pretrained={last}"], "does not fit"),
        (["run_dir=run", "ckpt_path=last"], f"was trained with {key}="),
    ):
        code, line = typed(cli.main, *overrides, *more)
        must(code == 4 and words in line, f"exit code {code}: {line}")
    return {"doors": 3}


# --- B4: code in a file -----------------------------------------------------------------------------------------------

DOORS = (
    "a marked checkpoint", "torch's own file", "torch's old file", "a bare pickle", "under the name .safetensors",
    "in a tensor's place", "in the optimizer's state", "beside TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "TorchScript",
    "by an address", "by a pinned address", "by the Hub", "_instantiator", "_target_ in arguments",
    "_target_ of the data", "YAML of a run", "an array of objects", "word vectors", "unpacked pickles of CIFAR-10",
)  # fmt: skip


@fault("B4", "code in a file, by every door", cases=DOORS, times=4, limit=60)
def bomb(dice: random.Random, folder: Path, door: str) -> Counts:
    """Nothing is executed. That the bomb is a real one is seen at the end, or it would prove nothing."""
    name = dice.choice(("convnet", "carried state", "own steps", "phases"))
    target = folder / "exploded"
    live = Bomb(target)
    plant(door, live, name, copied(name, folder), folder)
    must(not target.exists(), "code in the file was executed")
    with contextlib.suppress(Exception):
        pickle.loads(pickle.dumps(live))
    must(target.exists(), "the bomb was none")
    return {"bombs": 1}


def plant(door: str, live: Bomb, name: str, last: Path, folder: Path) -> None:
    """Put the bomb behind the door, and go in."""
    content, net = read_checkpoint(last), folder / "net.safetensors"
    again = [*TRAININGS[name], "run_dir=run", "figures=false", "logger=csv", "ckpt_path=last"]
    if door in ("a marked checkpoint", "_instantiator", "in a tensor's place", "in the optimizer's state"):
        key = {"_instantiator": "_instantiator", "in the optimizer's state": "optimizer_states"}.get(door, "more")
        bad = {**content, key: [{"state": {0: live}}]}
        if door == "in a tensor's place":
            bad = {**content, "state_dict": {**content["state_dict"], next(iter(content["state_dict"])): live}}
        write_checkpoint(bad, last)
        every_door_refuses(last, name)
    elif door == "beside TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD":
        os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"
        write_checkpoint({**content, "more": live}, last)
        every_door_refuses(last, name)
        torch.save({"features.0.weight": torch.zeros(1), "classifier.6.weight": torch.zeros(2, 2), "x": live}, last)
        every_door_refuses(last, name)
    elif door in ("torch's own file", "torch's old file"):
        torch.save({"state_dict": live}, last, _use_new_zipfile_serialization=door == "torch's own file")
        every_door_refuses(last, name)
    elif door in ("a bare pickle", "under the name .safetensors"):
        path = last if door == "a bare pickle" else net
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            path.write_bytes(pickle.dumps(live, protocol))
            refused(lambda: zoo.load(path))
        torch.save({"state_dict": live}, path)
        every_door_refuses(path, name)
    elif door == "TorchScript":
        raw = io.BytesIO(torchscript())
        with zipfile.ZipFile(raw, "a") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(live))
        last.write_bytes(raw.getvalue())
        every_door_refuses(last, name)
    elif door in ("by an address", "by a pinned address"):
        by_address(door, live, folder)
    elif door == "by the Hub":
        by_hub(live, folder)
    elif door in ("_target_ in arguments", "_target_ of the data"):
        call = {"_target_": "os.mkdir", "_args_": [str(live.target)], "path": str(live.target)}
        key = "arguments" if door == "_target_ in arguments" else "data_arguments"
        about = {**content["zoo"], key: {**content["zoo"][key], **call}}
        write_checkpoint({**content, "zoo": about}, last)
        net.write_bytes(packed(pretrained.built(read_checkpoint(run_of(name, folder)), name), about))
        for path in (last, net):
            code, line = typed(shell.main, "evaluate", str(path))
            must(code in (2, 3, 4), f"exit code {code}: {line}")
        code, line = typed(cli.main, *again)
        must(code == 4, f"exit code {code}: {line}")
    elif door == "YAML of a run":
        config = f"a: !!python/object/apply:os.mkdir ['{live.target}']\n"
        (folder / "run" / "config.yaml").write_text(config)
        (folder / "run" / "result.json").write_text(config)
        for command in ("card", "show", "evaluate", "publish"):
            typed(shell.main, command, str(folder / "run"))
        typed(cli.main, *again)
    elif door == "an array of objects":
        np.save(folder / "pictures.npy", np.array([live], dtype=object), allow_pickle=True)
        code, line = typed(shell.main, "predict", "mnist-lenet", str(folder / "pictures.npy"))
        must(code == 3, f"exit code {code}: {line}")
    elif door == "word vectors":
        from zoo.errors import DataError

        for ending in ("bin", "txt", "bin.gz", "txt.gz"):
            (folder / f"x.{ending}").write_bytes(pickle.dumps(live))
            refused(lambda e=ending: zoo.load_vectors(folder / f"x.{e}"), f"x.{ending}", by=DataError)
    else:
        from soak.data import hostile_cifar

        hostile_cifar(live, folder)


def by_address(door: str, live: Bomb, folder: Path) -> None:
    """A server has it under every name; the second time with the SHA-256 that it has."""
    import hashlib

    site = folder / "site"
    site.mkdir()
    torch.save({"state_dict": live}, site / "net.ckpt")
    for number, ending in enumerate((".ckpt", ".pt", ".safetensors")):
        shutil.copy(site / "net.ckpt", site / f"net{number}{ending}")
    os.environ["ZOO_DATA_DIR"] = str(folder / "kept")
    digest = hashlib.sha256((site / "net.ckpt").read_bytes()).hexdigest()
    with served(site) as address:
        for number, ending in enumerate((".ckpt", ".pt", ".safetensors")):
            pin = f"#sha256={digest}" if door == "by a pinned address" else ""
            refused(lambda n=number, e=ending, p=pin: zoo.load(f"{address}/net{n}{e}{p}"))


def by_hub(live: Bomb, folder: Path) -> None:
    """A repository has it under every name that a loader might look for."""
    from test_hub import WEIGHTS, Hub, use

    raw = pickle.dumps(live)
    code = b'{"auto_map": {"AutoModel": "evil.Model"}, "_target_": "os.mkdir", "model": "evil"}'
    Hub.repositories = {
        "owner/bomb": {"pytorch_model.bin": raw, "config.json": code, "evil.py": b"import os"},
        "owner/named": {WEIGHTS: raw, "config.json": code},
    }
    Hub.large, Hub.asked, Hub.sent, Hub.refusal = {}, [], [], None
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        use(f"http://127.0.0.1:{server.server_port}", folder / "cache", pytest.MonkeyPatch())
        for repository in Hub.repositories:
            refused(lambda r=repository: zoo.load(f"hf://{r}"))
        must(not [line for line in Hub.asked if WEIGHTS not in line and "/large/" not in line], "it asks for more")
        server.shutdown()


# --- B5: small files that want much -----------------------------------------------------------------------------------

GREEDY = (
    "compressed parts", "a million entries", "lists of lists", "a tensor that is not there", "numbers on no device",
    "a header of gigabytes", "a tensor of terabytes", "a card of a huge network", "a card of many layers",
    "a picture of gigapixels", "word vectors of gigabytes", "a card of deep brackets",
)  # fmt: skip


@fault("B5", "a small file that wants much memory or time", cases=GREEDY, times=3, limit=60)
def greedy(dice: random.Random, folder: Path, how: str) -> Counts:
    """Refused in seconds, and with little more memory than twice the file's size."""
    name = dice.choice(("convnet", "carried state", "own steps"))
    path, load = make_greedy(how, dice, name, copied(name, folder), folder)
    if how != "word vectors of gigabytes":
        with contextlib.suppress(Exception):
            load()  # once for what it imports; what it takes is measured below, in a process of its own

    def work() -> None:
        size = path.stat().st_size
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        refused(load, by=ZooError)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
        must(grown <= 2 * size + ROOM, f"{size:,} bytes took {grown:,} of memory")

    with Child(work, folder, "greedy") as child:
        started = time.monotonic()
        must(child.wait(15) == 0, (child.errors.splitlines() or ["it was killed"])[-1])
        must(time.monotonic() - started < 10, "it took more than ten seconds")
    return {"files": 1}


def make_greedy(
    how: str, dice: random.Random, name: str, last: Path, folder: Path
) -> tuple[Path, Callable[[], object]]:
    """The file, and what reads it."""
    content, net = read_checkpoint(last), folder / "net.safetensors"
    weights = content["state_dict"]
    about, first = content["zoo"], next(iter(weights))
    if how == "compressed parts":
        raw = io.BytesIO()
        with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", pickle.dumps({"w": 0}))
            archive.writestr("archive/data/0", bytes(dice.choice((300, 400)) << 20))
        marked(raw.getvalue(), last)
    elif how == "a million entries":
        raw = io.BytesIO()
        with zipfile.ZipFile(raw, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps({}))
        entry = raw.getvalue()[raw.getvalue().index(b"PK\x01\x02") : raw.getvalue().index(b"PK\x05\x06")]
        marked(raw.getvalue()[: raw.getvalue().index(b"PK\x01\x02")] + entry * 1_000_000 + bytes(22), last)
    elif how == "lists of lists":
        value: Any = [1]
        for _ in range(dice.randint(30, 90)):
            value = [value, value]
        place = dice.choice(("arguments", "transform"))
        write_checkpoint({**content, "zoo": {**about, place: {**about.get(place, {}), "x": value}}}, last)
    elif how in ("a tensor that is not there", "numbers on no device"):
        nothing = torch.zeros(9, device="meta")
        bent = torch.zeros(()).expand(10**5, 10**5) if how == "a tensor that is not there" else nothing
        write_checkpoint({**content, "state_dict": {**weights, first: bent}}, last)
    elif how in ("a header of gigabytes", "a tensor of terabytes"):
        good = published(name, folder)
        if how == "a header of gigabytes":
            net.write_bytes(struct.pack("<Q", dice.choice((2**31, 2**62, 2**64 - 1))) + good[8:])
        else:
            tensor = {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}
            head = {"w": tensor, "__metadata__": {"zoo": json.dumps({**about, "format": 1}), "sha256": "0" * 64}}
            text = json.dumps(head, separators=(",", ":")).encode()
            net.write_bytes(sealed(struct.pack("<Q", len(text)) + text + bytes(100)))
        return net, lambda: zoo.load(net)
    elif how == "a card of deep brackets":
        text = b'{"__metadata__":{"sha256":"%s","zoo":"%s"}}' % (b"0" * 64, b"[" * 500_000)
        net.write_bytes(sealed(struct.pack("<Q", len(text)) + text + bytes(8)))
        return net, lambda: zoo.load(net)
    elif how in ("a card of a huge network", "a card of many layers"):
        sizes = [dice.randrange(10**5, 10**6)] * 2 if how == "a card of a huge network" else [1] * 100_000
        large = {"model": "mlp", "arguments": {"in_features": 3, "num_classes": 2, "hidden_sizes": sizes}}
        write_checkpoint({**content, "zoo": {**about, **large}}, last)
    elif how == "a picture of gigapixels":
        from PIL import Image

        Image.new("1", (30_000, 30_000)).save(folder / "large.png")
        return folder / "large.png", lambda: zoo.load("mnist-lenet").predict(folder / "large.png")
    else:
        import gzip

        path = folder / f"x.{dice.choice(('bin', 'txt'))}.gz"
        with gzip.open(path, "wb", 1) as file:
            file.write(b"1000 100\n")
            for _ in range(300):
                file.write(bytes(1 << 20))
        return path, lambda: zoo.load_vectors(path)
    return last, lambda: zoo.load(last)


def marked(archive: bytes, path: Path) -> None:
    """Write an archive with the mark of a checkpoint, and with its SHA-256."""
    import hashlib

    from zoo.checkpoint import COMMENT, MARK

    body = archive[:-2]
    path.write_bytes(body + COMMENT.to_bytes(2, "little") + MARK + hashlib.sha256(body).hexdigest().encode())


# --- B6: anything at all ----------------------------------------------------------------------------------------------

FUZZED = 40  # files of each kind in a trial
ODD = (None, True, -1, 0, 1, 2**31, 2**63, 0.5, math.nan, math.inf, "", "x", "\x1b[2J", "../x", [], [1], {}, {"a": 1},
       [[]], ["a", 2], "9" * 5000)  # fmt: skip


@fault("B6", "mutated files", cases=list(TRAININGS), times=2, limit=120)
def fuzzed(dice: random.Random, folder: Path, name: str) -> Counts:
    """Whatever the bytes, the card or the weights have become: loaded, or one line; no crash, no hang."""
    content = read_checkpoint(run_of(name, folder))
    good, weights = (run_of(name, folder) / "checkpoints" / "best.ckpt").read_bytes(), published(name, folder)
    ckpt, net = folder / "net.ckpt", folder / "net.safetensors"
    counts = {"files": 0, "loaded": 0}
    for _ in range(FUZZED):
        marked(mutated(good[:-78] + bytes(2), dice), ckpt)  # as if it had been written so
        net.write_bytes(sealed(mutated(weights, dice)))
        (folder / "plain.ckpt").write_bytes(mutated(good, dice))
        for path in (ckpt, net, folder / "plain.ckpt"):
            counts["loaded"] += taken_or_refused(path)
        bent = bent_content(content, dice)
        write_checkpoint(bent, ckpt)
        counts["loaded"] += taken_or_refused(ckpt)
        with contextlib.suppress(TypeError, ValueError, AttributeError, KeyError):  # what safetensors cannot hold
            head = {"zoo": json.dumps({**bent["zoo"], "format": 1}), "sha256": "0" * 64}
            net.write_bytes(sealed(safetensors.torch.save(short_names(bent["state_dict"]), head)))
        counts["loaded"] += taken_or_refused(net)
        counts["files"] += 5
    return counts


@fault("B6b", "a checkpoint of which a part is missing or another, continued", cases=list(TRAININGS), limit=90)
def fuzzed_and_continued(dice: random.Random, folder: Path, name: str) -> Counts:
    """The run goes on, or ends with one line and a code of ours."""
    if whole(name, folder).steps >= 4:
        with Training(folder, [*TRAININGS[name], "trainer.checkpoint_every_n_steps=2"]) as training:
            training.reach(3)
            training.send(signal.SIGTERM)
            must(training.wait(LIMIT) in (0, 143), f"exit code {training.code}: {training.last_line}")
    else:
        copied(name, folder)
    (folder / "run").rename(folder / "kept")
    last, counts = folder / "run" / "checkpoints" / "last.ckpt", {"files": 0, "went on": 0}
    for _ in range(3):
        shutil.rmtree(folder / "run", ignore_errors=True)
        shutil.copytree(folder / "kept", folder / "run")
        content = read_checkpoint(last)
        bend_within(content, dice)
        write_checkpoint(content, last)
        with Training(folder, TRAININGS[name]) as training:
            code = training.wait(LIMIT)
        must(code in (0, 2, 3, 4, 5), f"exit code {code}: {training.last_line}")
        must("Traceback" not in training.errors, f"a traceback before {training.last_line}")
        counts["files"] += 1
        counts["went on"] += code == 0
    return counts


def bend_within(value: Any, dice: random.Random) -> None:
    """Change or leave out one item somewhere in nested dicts and lists, in place."""
    places = [(value, key) for key in (value if isinstance(value, dict) else range(len(value)))]
    inner, key = dice.choice(places)
    item = inner[key]
    if isinstance(item, (dict, list)) and item and dice.random() < 0.8:
        bend_within(item, dice)
    elif isinstance(inner, dict) and dice.random() < 0.4:
        del inner[key]
    elif isinstance(item, Tensor):
        inner[key] = dice.choice((item.reshape(-1)[:0], item[None], torch.zeros(7), item.double(), None))
    else:
        inner[key] = dice.choice(ODD)


def short_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a network, without that of what trains it."""
    return {name.removeprefix("network."): weight.contiguous().clone() for name, weight in weights.items()}


def mutated(good: bytes, dice: random.Random) -> bytes:
    """With some bytes changed, left out, doubled or moved."""
    bad = bytearray(good)
    for _ in range(dice.choice((1, 1, 2, 5, 20))):
        start = dice.randrange(len(bad) or 1)
        if dice.random() < 0.5:  # near an end, where tables stand
            start = dice.choice((start % 400, max(0, len(bad) - 1 - start % 400)))
        size = dice.choice((1, 1, 2, 4, 8, 100))
        piece = dice.choice((
            dice.randbytes(size), b"\xff" * size, bytes(size), b"", bytes(bad[start : start + 2 * size]),
            struct.pack("<Q", dice.choice((0, 1, 2**31 - 1, 2**32 - 1, 2**63, len(bad)))),
        ))  # fmt: skip
        bad[start : start + size] = piece
    return bytes(bad)


def bent_content(content: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """A checkpoint of which a few values are others: of its card, the arguments, the transform, the weights."""
    bent = {**content, "zoo": {**content["zoo"]}, "state_dict": {**content["state_dict"]}}
    for _ in range(dice.choice((1, 1, 2, 3))):
        where = dice.choice(("card", "arguments", "transform", "weights", "whole"))
        if where == "weights":
            key = dice.choice(list(bent["state_dict"]) or ["x"])
            weight = bent["state_dict"].get(key, torch.zeros(1))
            bent["state_dict"][key] = dice.choice((
                weight.reshape(-1)[:0], weight.double(), weight.reshape(-1), weight.to(torch.int64), weight[None],
                torch.full_like(weight.float(), math.nan), torch.zeros(0), torch.zeros(()), weight.bool(),
                weight.to(torch.bfloat16),
            )) if isinstance(weight, Tensor) else weight  # fmt: skip
            if dice.random() < 0.2:
                bent["state_dict"].pop(key, None)
            continue
        place = {"card": bent["zoo"], "whole": bent}.get(where)
        if place is None:
            place = dict(content["zoo"].get(where) or {})
            bent["zoo"][where] = place
        if place and dice.random() < 0.9:
            key = dice.choice(list(place))
            place[key] = dice.choice(ODD)
            if dice.random() < 0.1:
                del place[key]
        else:
            place["more"] = dice.choice(ODD)
        if not isinstance(bent.get("zoo"), dict) or not isinstance(bent.get("state_dict"), dict):
            break
    return bent


def taken_or_refused(path: Path) -> bool:
    """Load it, and show it as `zoo show` does; whether that can be done. Raises Wrong for any error but ours."""
    try:
        network = zoo.load(path)
        card.text(network.card)
        card.markdown(network.card)
    except ZooError as error:
        must("\n" not in str(error), f"not one line: {str(error)[:200]!r}")
        must(str(error).isprintable(), f"it reaches the terminal: {str(error)[:200]!r}")
        return False
    except Exception as error:
        shutil.copy(path, path.with_name(f"wrong{path.suffix}"))
        raise Wrong(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}") from error
    return True


# --- B7: of a former release ------------------------------------------------------------------------------------------

# As these files were made: 33 steps, of which 16 are in the file.
RELEASED = ["model=mlp", "model.hidden_sizes=[8]", "model.dropout=0.2", "data=digits", "data.image_size=8",
            "data.batch_size=100", "optimizer=adam", "optimizer.schedule=cosine", "optimizer.weight_decay=0.01",
            "trainer.max_epochs=3", "trainer.gradient_clip_norm=1", "figures=false", "logger=csv",
            "trainer.progress=false"]  # fmt: skip


@fault("B7", "a checkpoint of a former release", cases=[path.stem for path in RELEASES], limit=90)
def of_a_release(dice: random.Random, folder: Path, release: str) -> Counts:
    """It loads, and the run goes on from it to the losses of a run that this zoo trains from the start."""
    last = folder / "run" / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    shutil.copy(next(path for path in RELEASES if path.stem == release), last)
    (folder / "run" / "config.yaml").touch()
    saved = zoo.load(last)
    must(saved.card["version"] == release.removeprefix("release_"), f"it says that it is of {saved.card['version']}")
    os.chdir(folder)
    with contextlib.redirect_stderr(io.StringIO()):
        resumed = run(compose_settings([*RELEASED, "run_dir=run", "ckpt_path=last"]))
        anew = run(compose_settings([*RELEASED, "run_dir=whole"]))
    must(read_checkpoint(last)["global_step"] == 33, "it did not go on to the end")
    for metric, value in anew["metrics"].items():
        got = resumed["metrics"][metric]
        must(math.isclose(got, value, rel_tol=1e-4), f"{metric} is {got}, of a run from the start {value}")
    return {"steps": 17}


# --- B8: where files lie, and where they come from --------------------------------------------------------------------

PLACES = {
    "spaces": "my runs/the first one", "an equals sign": "lr=0.1,seed=3", "other scripts": "Läufe/学习/обучение 🎉",
    "two hundred letters": "x" * 200, "quotes": "it's \"mine\"", "brackets": "[a]{b}(c)", "dollars": "$HOME/$1",
    "a leading dash": "-run", "a percent sign": "50%", "a backslash": "a\\b", "a link": "link", "a comma": "a,b",
    "dots": "v1.0.final.ckpt", "a hash": "run#1", "a tilde": "~run",
}  # fmt: skip


@fault("B8", "a checkpoint at an odd place", cases=[*PLACES, "a GPU"], limit=60)
def at_odd_places(dice: random.Random, folder: Path, place: str) -> Counts:
    """It is loaded, and a run there is stopped and goes on to the same bits."""
    name = dice.choice(("convnet", "momentum", "running means"))
    if place == "a GPU":
        return of_a_gpu(name, folder)
    stopped_at(15, folder, name)
    there = folder / "places" / PLACES[place]
    there.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(folder / "run", there)
    if place == "a link":
        shutil.move(there, folder / "elsewhere")
        there.symlink_to(folder / "elsewhere")
    os.chdir(there.parent)
    last = Path(there.name) / "checkpoints" / "last.ckpt"
    for source in (str(last), last, last.resolve(), there.resolve() / "checkpoints" / "last.ckpt"):
        zoo.load(source)
    (folder / "run").symlink_to(there)
    with Training(folder, [*TRAININGS[name], f"run_dir={quoted(there)}"]) as training:
        training.succeed()
    learnt_the_same(folder, name)
    zoo.load(there)
    return {"files": 5}


def quoted(path: Path) -> str:
    """A path as a value of an override."""
    text = str(path).replace("\\", "\\\\").replace("'", "\\'") if "'" in str(path) else str(path)
    return f"'{text}'"


def of_a_gpu(name: str, folder: Path) -> Counts:
    """Written as on a GPU, where tensors say so."""
    last = copied(name, folder)
    content = read_checkpoint(last)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:1")
        write_checkpoint(content, last)
    must(b"cuda:1" in last.read_bytes(), "the file does not say so")
    network = zoo.load(last)
    must(all(weight.device.type == "cpu" for weight in network.state_dict().values()), "not on the CPU")
    must(learnt(folder / "run")["state_dict"] == whole(name, folder).learnt["state_dict"], "other weights")
    return {"files": 1}
