"""Part D, configuration: whatever is typed is done, or refused in one line before any work; it is never run as code."""

import contextlib
import functools
import gc
import hashlib
import io
import os
import random
import re
import string
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from conftest import EXPERIMENTS, FOUND_PICTURES, ROOT, WAIVED, there
from test_pictures import write_tree
from test_resume import QUIET

import zoo
import zoo.train
from soak.children import Child, until
from soak.frame import Counts, fault, must
from soak.interruption import put
from soak.runs import LIMIT, TRAININGS, digest, expect_small_data
from zoo.checkpoint import read_checkpoint, write_checkpoint
from zoo.cli import main
from zoo.config import GROUPS, Config, LoggerConfig, TrainerConfig, compose_settings, expand
from zoo.data import text8
from zoo.data.fetch import File
from zoo.errors import ConfigError, ZooError
from zoo.registry import load_all, schema

ANSWER = 3.0  # seconds in which a mistake is answered, imports and all


def answer(*arguments: str) -> tuple[int, list[str]]:
    """Exit code of the command in this process, and its lines on stderr. Raises what it lets through.

    Raises Wrong too, where a refusal is more than its line.
    """
    output, errors = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            main(list(arguments))
        except SystemExit as end:
            code = int(end.code or 0)
    gc.collect()  # what ends with the command: processes that read pictures
    lines = errors.getvalue().splitlines()
    if code:
        one_line(output.getvalue(), lines, arguments)
    return code, lines


def one_line(output: str, lines: list[str], arguments: Sequence[str]) -> None:
    """Raise Wrong where a refusal is more than its line on stderr."""
    typed = " ".join(arguments)
    must(not output, f"{typed}: refused, and on stdout is {output!r}")
    errors = [line for line in lines if line.startswith("error: ") or "Traceback" in line or "Error: " in line]
    must(errors == lines[-1:], f"{typed}: not refused in one line, but {lines}")


def refused(words: str, *arguments: str, code: int = 2) -> None:
    """The command refuses with that code, in one line that has these words in it. Raises Wrong."""
    got, lines = answer(*arguments)
    must(got == code, f"{' '.join(arguments)}: exit code {got} instead of {code}: {lines[-1:]}")
    must(words in lines[-1], f"{' '.join(arguments)}: {words!r} is not in the answer: {lines[-1]}")


# --- D1: a letter that is wrong -------------------------------------------------------------------------------------

Typo = tuple[list[str], str, set[str]]  # what is typed, what was meant, and all that is one edit away from the typo


def edits(word: str) -> set[str]:
    """All words that are one letter away: left out, put in, another one, or two that have changed places."""
    letters = string.ascii_lowercase + string.digits + "_"
    halves = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    out = {a + b[1:] for a, b in halves if b}
    put_in = {a + c + b for a, b in halves for c in letters}
    changed = {a + c + b[1:] for a, b in halves if b for c in letters}
    swapped = {a + b[1] + b[0] + b[2:] for a, b in halves if len(b) > 1}
    return (out | put_in | changed | swapped) - {word}


def misspelt(dice: random.Random, valid: Sequence[str]) -> tuple[str, str, set[str]]:
    """A typo, the word that was meant, and the valid words that the typo is one edit away from."""
    while True:
        meant = dice.choice([word for word in valid if len(word) > 1])
        typo = dice.choice(sorted(edits(meant)))
        if typo not in valid and typo.isidentifier():
            return typo, meant, edits(typo) & set(valid)


def typo_of_a_key(dice: random.Random) -> Typo:
    """Of an argument of any model, data set or optimizer, or of the trainer or the logger."""
    group = dice.choice(("model", "data", "optimizer", "trainer", "logger"))
    if group in load_all():
        name, cls = dice.choice(sorted(load_all()[group].items()))
        keys, chosen = list(schema(cls).__dataclass_fields__), [f"{group}={name}"]
    else:
        keys, chosen = list({"trainer": TrainerConfig, "logger": LoggerConfig}[group].__dataclass_fields__), []
    typo, meant, near = misspelt(dice, keys)
    return [*chosen, f"{group}.{typo}=1"], meant, near


def typo_of_a_group(dice: random.Random) -> Typo:
    """At the top: `modle=lenet`, `sed=1`."""
    typo, meant, near = misspelt(dice, [*Config.__dataclass_fields__, "experiment"])
    return [f"{typo}=1"], meant, near


def typo_of_a_name(dice: random.Random) -> Typo:
    """Of any model, data set, optimizer, experiment, trainer or logger."""
    names = {group: sorted(classes) for group, classes in load_all().items()}
    names |= {"experiment": EXPERIMENTS, "trainer": ["auto", "cpu", "ddp", "gpu"]}
    names |= {"logger": ["csv", "mlflow", "tensorboard", "wandb"]}
    group = dice.choice(sorted(names))
    typo, meant, near = misspelt(dice, names[group])
    return [f"{group}={typo}"], meant, near


def typo_of_a_value(dice: random.Random) -> Typo:
    """Of one of the few words that an argument may be; which these are, its refusal of another word says."""
    where, key, _ = dice.choice([one for one in arguments() if str in one[2]])
    code, lines = answer(*where, f"{key}=zzz")
    listed = re.search(r"must be (?:one of )?(\w[\w, -]*?)(?: and \w+, in either order)?(?:, or null)?, got", lines[0])
    if key.rpartition(".")[2] in ANY_WORD or listed is None:
        return typo_of_a_name(dice)
    valid = listed[1].split(", ")
    typo, meant, _ = misspelt(dice, valid)
    return [*where, f"{key}={typo}"], meant, set(valid)


TYPOS = {"key": typo_of_a_key, "group": typo_of_a_group, "name": typo_of_a_name, "value": typo_of_a_value}


@fault("D1", "a typo in a key, group, name or value", cases=[*TYPOS, "as a process"], times=10)
def a_typo(dice: random.Random, folder: Path, where: str) -> Counts:
    """Exit code 2 and one line that names the nearest valid word; as a process within three seconds."""
    if where == "as a process":
        typed, meant, near = dice.choice(list(TYPOS.values()))(dice)
        seconds = seconds_of_a_refusal(typed, folder, meant, near)
        return {"processes": 1, "milliseconds in all": round(1000 * seconds)}
    for _ in range(10):
        typed, meant, near = TYPOS[where](dice)
        code, lines = answer(*typed)
        must(code == 2, f"{typed}: exit code {code}: {lines}")
        names_the_nearest(typed, lines[0], meant, near)
    return {"typos": 10}


def names_the_nearest(typed: list[str], line: str, meant: str, near: set[str]) -> None:
    """The word that is suggested is one edit away; where a few are listed, that which was meant is one of them."""
    suggested = re.search(r"did you mean '([^']+)'", line)
    found = suggested[1] in near if suggested else meant in line
    must(found, f"{' '.join(typed)}: {meant} is not in the answer: {line}")


def seconds_of_a_refusal(typed: list[str], folder: Path, meant: str, near: set[str]) -> float:
    """What the command computes, as a process with all imports, until it has refused."""
    command = [sys.executable, "-W", "error", *WAIVED, str(ROOT / "train.py"), *typed]
    with Child(lambda: os.execv(sys.executable, command), folder, "typo") as child:
        code = child.wait(LIMIT)
        must(code == 2, f"{typed}: exit code {code}: {child.errors}")
        one_line(child.printed, child.errors.splitlines(), typed)
        names_the_nearest(typed, child.errors, meant, near)
        must(child.cpu_seconds <= ANSWER, f"{typed}: answered after {child.cpu_seconds:.1f} s")
    return child.cpu_seconds


# --- D2: values of another type, or out of range ----------------------------------------------------------------------

ANY_WORD = ("root", "path", "cache", "analogies", "text", "vocabulary")  # of which no word is wrong by itself
UNFIT = {  # by type: what no argument of that type may be
    int: ("-1", "abc", "1.5", "1e400"), float: ("nan", "inf", "-inf", "abc"), bool: ("maybe", "1.5"), str: ("zzz",),
}  # fmt: skip
TABLE = [
    "trainer.max_epochs=0", "trainer.max_epochs=-1", "trainer.max_epochs=1.5", "trainer.max_epochs=null",
    "trainer.max_steps=0", "trainer.max_steps=-1", "trainer.devices=0", "trainer.devices=-1", "trainer.devices=99",
    "trainer.num_nodes=0", "trainer.num_nodes=2", "trainer.threads=0", "trainer.threads=-1", "trainer.threads=99999",
    "trainer.gradient_clip_norm=0", "trainer.gradient_clip_norm=-1", "trainer.gradient_clip_norm=nan",
    "trainer.gradient_clip_norm=inf", "trainer.val_every_n_epochs=0", "trainer.early_stopping_patience=0",
    "trainer.checkpoint_every_n_steps=0", "trainer.checkpoint_every_n_steps=-5", "trainer.log_every_n_steps=0",
    "trainer.precision=32", "trainer.precision=fp8", "trainer.accelerator=tpu", "trainer.accelerator=cuda",
    "trainer.select=first", "trainer.monitor=test/acc", "trainer.progress=maybe", "trainer.compile=maybe",
    "trainer.channels_last=x", "logger.name=stdout", "seed=-1", "seed=4294967296", "seed=abc", "seed=1.5", "seed=null",
    "seed=nan", "figures=maybe", "expect={x:[1]}", "expect={x:[2,1]}", "expect={x:y}", "expect=1",
    "model.num_heads=3", "model.num_heads=0", "model.hidden_size=0", "data.batch_size=0", "optimizer.lr=0",
    "optimizer.lr=-1", "optimizer.weight_decay=-0.1", "optimizer.beta1=1", "model.dropout=1", "model.dropout=-0.1",
    "model.num_layers=0", "data.sequence_length=0",
]  # fmt: skip
TABLE_OF = ["model=char_transformer", "data=pydoc", "optimizer=adam", "trainer=cpu"]


@functools.cache
def arguments() -> list[tuple[list[str], str, list[type]]]:
    """Every argument of every model, data set and optimizer: with what it is valid, its key, the types it may have."""
    found = []
    for group, classes in load_all().items():
        for name, cls in classes.items():
            where = {"model": needed_by, "data": lambda name: [f"data={name}", *SETS[name]]}.get(
                group, lambda name: ["model=mlp", "data=xor", f"optimizer={name}"]
            )(name)
            for key, hint in get_type_hints(cls.__init__).items():
                kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
                found.append((where, f"{group}.{key}", [kind for kind in kinds if kind in UNFIT]))
    return [one for one in found if one[2]]


def needed_by(model: str) -> list[str]:
    """A small training of that model: data, optimizer and what else it needs."""
    return next(given for given in TRAININGS.values() if f"model={model}" in given)


@fault("D2", "a value of another type or out of range", cases=("any argument", "the table"), times=4, limit=90)
def out_of_range(dice: random.Random, folder: Path, which: str) -> Counts:
    """Exit code 2 and one line with the key, before a folder is made."""
    expect_small_data(folder.parent)
    more_small_data(folder.parent)
    typed = []
    if which == "the table":
        typed = [[*TABLE_OF, text] for text in dice.sample(TABLE, 15)]
    else:
        for where, key, kinds in dice.sample(arguments(), 25):
            value = dice.choice(UNFIT[dice.choice(kinds)])
            if value != "zzz" or key.rpartition(".")[2] not in ANY_WORD:
                typed.append([*where, f"{key}={value}"])
    for overrides in typed:
        refused(overrides[-1].partition("=")[0].rpartition(".")[2], *overrides)
        made = {path.name for path in Path("runs").glob("*")} - {"corpora"}  # which keeps numbered texts
        must(not made, f"{' '.join(overrides)}: a folder was made before: {made}")
    return {"values": len(typed)}


# --- D3: every model on every data set --------------------------------------------------------------------------------

SETS: dict[str, list[str]] = {name: [] for name in load_all()["data"]} | {
    "adding": ["data.train_size=300"],
    "cifar10": [f"data.cache={FOUND_PICTURES}"],
    "corpus": [f"data.path={ROOT / 'README.md'}", "data.min_count=1", "data.similarity=[]", "data.analogies=null"],
    "image_folder": ["data.root=../pets.zip", "data.image_size=32", "data.held=true"],
    "imagenet": ["data.root=../imagenet", "data.validation=0.2", "data.image_size=64", "data.num_workers=0"],
    "mackey_glass": ["data.train_size=300"],
    "multi30k": ["data.root=..", "data.vocab_size=120"],
    "recall": ["data.gaps=[1,2]", "data.train_size=80"],
    "reviews": ["data.max_length=40", "data.vocab_size=200"],
    "text": [f"data.path={ROOT / 'LICENSE'}"],
    "text8": ["data.root=..", "data.min_count=1", "data.similarity=[]", "data.analogies=null"],
}
LARGE = ("cifar10", "irish", "mnist", "pydoc", "reviews", "shakespeare")


@fault("D3", "every model on a data set", cases=sorted(SETS), times=5, limit=150)
def every_model_on(dice: random.Random, folder: Path, data: str) -> Counts:
    """Each trains a step, or says in one line what does not fit; so as it is by itself, and small."""
    if not there(data) and data != "text8":
        return {"left out, as the files are not there": 1}
    expect_small_data(folder.parent)
    more_small_data(folder.parent)
    few_items()
    counts = {"trained a step": 0, "said what does not fit": 0}
    batch_size = "batch_size" in schema(load_all()["data"][data]).__dataclass_fields__
    for model in load_all()["model"]:
        pair = [f"model={model}", f"data={data}", *SETS[data]]
        with contextlib.suppress(ConfigError):  # anything else is let through
            zoo.train.assemble(compose_settings(pair))
        small = [text for text in needed_by(model) if not text.startswith("data")]
        small += [text for text in needed_by(model) if text.startswith("data.batch_size") and batch_size]
        code, lines = answer(*small, *pair[1:], *QUIET, "trainer.max_steps=1", f"run_dir={model}")
        must(code in (0, 2), f"model={model} data={data}: exit code {code}: {lines[-1:]}")
        named = code == 0 or f"model={model}" in lines[-1] or f"model {model!r}" in lines[-1]
        must(named, f"model={model} data={data}: its name is not in the answer: {lines[-1:]}")
        counts["said what does not fit" if code else "trained a step"] += 1
    return counts


def more_small_data(scratch: Path) -> None:
    """Pictures in the folders of ImageNet, and a few words that from here on are what is asked for as text8."""
    if not (scratch / "imagenet").exists():
        write_tree(scratch / "imagenet", ("train", "val"))
        with zipfile.ZipFile(scratch / "text8.zip", "w") as archive:
            archive.writestr("text8", " ".join((ROOT / "README.md").read_text().lower().split()))
    packed = (scratch / "text8.zip").read_bytes()
    text8.FILE = File("text8.zip", hashlib.sha256(packed).hexdigest(), len(packed))


def few_items() -> None:
    """From here on each large data set keeps a few hundred items of each part, or a few thousand characters."""

    def cut(data: Any) -> None:
        for part in ("train", "val", "test"):
            sides = getattr(data, part)
            some = slice(5000) if data.consecutive else slice(None, None, max(1, len(sides[0]) // 300))
            setattr(data, part, tuple(side[some] for side in sides))

    for name in LARGE:
        put(load_all()["data"][name], "load", after=cut)


# --- D4: override lists that mean nothing -----------------------------------------------------------------------------

ODD = ["", "null", "nan", "-1", "1e400", "[1]", "[", "{a:1}", "${x}", "${oc.env:HOME}", "???", "'", "a,b", "~", "+",
       "++", "=", ":", "@", "range(0,0,0)", "choice()", "sort()", "glob(*)", "interval(1,0)", "int(a)", "\\", "\0",
       "\ud800", "true", "1" * 30, "a" * 300, "._.", ".", "/", "//", "--x", "hydra", "hydra.run.dir", "_target_",
       "\N{SNOWMAN}"]  # fmt: skip


def override_lists(dice: random.Random) -> list[str]:
    """Up to three overrides of keys, names and odd words, in any order."""
    names = [name for classes in load_all().values() for name in classes]
    keys = [*GROUPS, *Config.__dataclass_fields__, *(key for _, key, _ in arguments())]

    def word() -> str:
        kind = dice.randrange(4)
        if kind == 3:  # half of it ASCII
            ends = (dice.choice(((32, 127), (1, 0x2FFF))) for _ in range(dice.randrange(9)))
            return "".join(chr(dice.randrange(*pair)) for pair in ends)
        return dice.choice((keys, names, ODD)[kind])

    def override() -> str:
        sign = dice.choice(("", "", "", "+", "++", "~"))
        return sign + "=".join(word() for _ in range(dice.choice((1, 2, 2, 2, 2, 3))))

    return [override() for _ in range(dice.randint(1, 3))]


@fault("D4", "override lists that mean nothing", times=2)
def fuzzed(dice: random.Random, folder: Path, count: int = 100) -> Counts:
    """Nothing but our error is raised, and it is one line."""
    counts = {"lists": count, "of them refused": 0}
    for _ in range(count):
        overrides = override_lists(dice)
        try:
            expand(overrides)
            compose_settings(overrides)
        except ConfigError as error:
            counts["of them refused"] += 1
            must("\n" not in str(error), f"{overrides}: more than one line: {error}")
        except Exception as error:
            must(False, f"{overrides}: {type(error).__name__}: {error}")
    return counts


# --- D5: code in the configuration ------------------------------------------------------------------------------------

CANARY = "canary"
CODE = "{_target_:os.mkdir,path:canary}"
SWEEP = ["-m", "seed=1,2"]
TARGETS = [
    ["model._target_=os.mkdir", "+model.path=canary"], ["+model._target_=os.mkdir", "+model.path=canary"],
    ["+logger._target_=os.mkdir", "+logger.path=canary"], [f"model={CODE}"], [f"+model.x={CODE}"], [f"data={CODE}"],
    [f"++data={CODE}"], [f"optimizer={CODE}"], [f"+trainer.x={CODE}"], [f"+logger={CODE}"], [f"expect={CODE}"],
    [f"+x={CODE}"], [f"figures={CODE}"], ["run_dir=${oc.create:{_target_:os.mkdir}}"], ["ckpt_path=${zoo:canary}"],
    [f"hydra.job={CODE}"], ["hydra.callbacks.x._target_=os.mkdir"], ["+hydra.searchpath=[file://.]"],
    ["hydra/launcher=joblib"], ["experiment=../../../canary"], ["experiment=/etc/passwd"],
    ["model.activation=__import__"],
    [*SWEEP, "hydra/launcher=joblib", "hydra.launcher._target_=os.mkdir", "+hydra.launcher.path=canary"],
    [*SWEEP, "hydra/launcher=joblib", f"+hydra.launcher.x={CODE}"],
    [*SWEEP, "hydra/launcher=basic", "hydra.launcher._target_=os.mkdir", "+hydra.launcher.path=canary"],
]  # fmt: skip


@fault("D5", "code in the configuration", cases=("on the command line", "in a stored one", "in the environment"))
def code_in_the_configuration(dice: random.Random, folder: Path, where: str) -> Counts:
    """It is refused or left unread, and not run."""
    must(not Path(CANARY).exists(), "there is one already")
    if where == "on the command line":
        for typed in TARGETS:
            code, lines = answer(*typed)
            must(code != 0, f"{' '.join(typed)} was accepted")
            must(not Path(CANARY).exists(), f"{' '.join(typed)} was run: {lines}")
        return {"tried": len(TARGETS)}
    xor = ["experiment=xor_mlp", "trainer.max_steps=1", *QUIET, "run_dir=run"]
    answer(*xor)
    target = {"_target_": "os.mkdir", "path": CANARY}
    if where == "in a stored one":
        stored = f"_target_: os.mkdir\npath: {CANARY}\nmodel: !!python/object/apply:os.mkdir [{CANARY}]\n"
        for file in (Path("run/config.yaml"), Path("train.yaml")):
            file.write_text(stored)
        checkpoint = Path("run/checkpoints/best.ckpt")
        for place in ("arguments", "model", "data", "transform"):
            content = read_checkpoint(checkpoint)
            content["zoo"][place] = target
            write_checkpoint(content, Path("stored.ckpt"))
            with contextlib.suppress(ZooError):
                zoo.load("stored.ckpt")
        must(answer(*xor, "ckpt_path=last")[0] == 0, "the run does not go on")
    else:
        Path("startup.py").write_text(f"import os; os.mkdir({CANARY!r})")
        Path("hydra_plugins").mkdir()
        Path("hydra_plugins/canary.py").write_text(f"import os; os.mkdir({CANARY!r})")
        Path(".env").write_text(f"_target_=os.mkdir {CANARY}")
        os.environ |= {"HYDRA_CONFIG_PATH": ".", "HYDRA_FULL_ERROR": "1", "_target_": "os.mkdir", "TRAINER": CODE,
                       "PL_TRAINER_LOGGER": CODE, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}  # fmt: skip
        must(answer(*xor[:-1], "run_dir=again")[0] == 0, "it does not train")
    must(not Path(CANARY).exists(), "what was stored was run")
    return {"tried": 1}


# --- D6: seed 0 -------------------------------------------------------------------------------------------------------


@fault("D6", "seed 0 beside no seed, and beside seed 1", cases=sorted(TRAININGS), times=3)
def seed_zero(dice: random.Random, folder: Path, name: str) -> Counts:
    """Seed 0 is what there is without one; another seed gives other weights."""
    expect_small_data(folder.parent)
    learnt = {}
    for seed in ("", "seed=0", f"seed={dice.randrange(1, 2**32)}"):
        run_dir = f"run_{seed.replace('=', '_')}"
        alone = [text.replace("num_workers=2", "num_workers=0") for text in TRAININGS[name]]
        short = [*QUIET, "trainer.max_steps=2", f"run_dir={run_dir}"]
        code, lines = answer(*alone, *filter(None, [seed]), *short)
        must(code == 0, f"{name}: {lines[-1:]}")
        learnt[seed] = digest(read_checkpoint(Path(run_dir) / "checkpoints" / "last.ckpt")["state_dict"])
    none, zero, other = learnt.values()
    must(none == zero, "seed=0 gives other weights than no seed")
    must(other != zero, "another seed gives the same weights")
    return {"trainings": 3}


# --- D7: paths as they are typed --------------------------------------------------------------------------------------

PATHS = ["epoch=1-step=100", "a b", " a", "a'b", 'a"b', "Müller", "日本", "a(1)", "[a]", "{a}", "a#b", "a!b",
         "a&b", "100%", "2026_01", "007", "1e5", "true", "null.d", "a:b", "a;b", "a$b", "a@b", "+a", "a\\b", "a\\'b",
         "x" * 200, "a=b c'd"]  # fmt: skip


@fault("D7", "a checkpoint below a path with = and spaces", cases=PATHS, times=8)
def an_odd_path(dice: random.Random, folder: Path, name: str) -> Counts:
    """As typed it is where the run lies, where it goes on, where weights are taken from and where data lies."""
    xor = ["experiment=xor_mlp", *QUIET]
    last = f"{name}/checkpoints/last.ckpt"
    for typed in (
        ["trainer.max_steps=2", f"run_dir={name}"], ["trainer.max_steps=4", f"run_dir={name}", "ckpt_path=last"],
        ["trainer.max_steps=6", f"ckpt_path={last}"], ["trainer.max_steps=1", f"pretrained={last}", "run_dir=other"],
    ):  # fmt: skip
        code, lines = answer(*xor, *typed)
        must(code == 0, f"{typed}: {lines[-1:]}")
    must(read_checkpoint(last)["global_step"] == 6, f"not all steps are in {last}")
    must({path.name for path in folder.iterdir()} >= {name, "other"}, f"it lies elsewhere: {os.listdir()}")
    text = Path(name) / f"{name}.txt"
    text.write_text((ROOT / "LICENSE").read_text())
    network = ["model=char_rnn", "model.hidden_size=4", "trainer.max_steps=1", *QUIET]
    code, lines = answer(*network, "data=text", f"data.path={text}")
    must(code == 0, f"data.path={text}: {lines[-1:]}")
    return {"paths": 5}


# --- D8: runs of one second -------------------------------------------------------------------------------------------


@fault("D8", "eight runs that start in the same second")
def eight_at_once(dice: random.Random, folder: Path, count: int = 8) -> Counts:
    """Each has a folder and a config.yaml of its own."""
    go = folder / "go"

    def train(number: int) -> Callable[[], None]:
        def work() -> None:
            time.strftime = lambda form, *when: "2026-01-01_00-00-00"
            put(zoo.train, "new_folder", before=lambda *arguments: wait_at_the_start(number))
            main(["experiment=xor_mlp", "trainer.max_steps=1", *QUIET, f"seed={number}"])

        return work

    def wait_at_the_start(number: int) -> None:
        (folder / f"ready_{number}").touch()
        until(go.exists, LIMIT, "no start")

    with contextlib.ExitStack() as stack:
        children = [stack.enter_context(Child(train(number), folder, f"run_{number}")) for number in range(count)]
        until(lambda: len(list(folder.glob("ready_*"))) == count, LIMIT, "not all come to their folders")
        go.touch()
        for child in children:
            must(child.wait(LIMIT) == 0, f"exit code {child.code}: {child.errors}")
    configs = list(folder.glob("runs/xor_mlp/*/config.yaml"))
    seeds = {re.search(r"^seed: (\d+)$", path.read_text(), re.MULTILINE)[1] for path in configs}
    must(len(configs) == len(seeds) == count, f"{len(configs)} folders with {len(seeds)} configurations")
    results = list(folder.glob("runs/xor_mlp/*/result.json"))
    must(len(results) == count, f"{len(results)} results")
    return {"folders": len(configs)}
