"""From the command line to plain Python values: compose, check, and say in one line what is wrong.

Hydra composes `configs/train.yaml`, an experiment and the overrides against the schemas below and those of the
registry. What leaves this file is a `Settings` of plain values: no Hydra or OmegaConf object goes further.
"""

import contextlib
import importlib.util
import itertools
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException, MissingConfigException
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zoo.errors import ConfigError, short
from zoo.registry import load_all, nearest, schema

GROUPS = ("experiment", "model", "data", "optimizer", "trainer", "logger")
LOGGER_PACKAGES = {"csv": "csv", "tensorboard": "tensorboardX", "wandb": "wandb", "mlflow": "mlflow"}
FEW = 20  # names that fit into one line of an error
MANY = 10_000  # runs that a sweep may have
PRECISIONS = ("32-true", "bf16-mixed", "bf16-true", "16-mixed", "64-true")
PATHS = ("run_dir", "ckpt_path", "pretrained", "data.root", "data.path", "data.cache")


@dataclass
class TrainerConfig:
    """How long, on what, and which epoch counts."""

    accelerator: str = "auto"  # auto | cpu | gpu | mps
    devices: int = 1  # processes on each machine, each with a GPU of its own or on the CPU
    num_nodes: int = 1  # machines; started by srun or torchrun where there are several
    precision: str = "32-true"  # one of PRECISIONS
    channels_last: bool = False  # pictures and kernels in the order in which GPUs convolve fastest
    compile: bool = False  # the network's loss by torch.compile: slow to begin with, faster then
    threads: int | None = None  # of torch on the CPU; None: as many as torch takes by itself
    max_epochs: int = 10
    max_steps: int | None = None  # stop earlier, in mid-epoch if need be
    gradient_clip_norm: float | None = None
    val_every_n_epochs: int = 1
    select: str = "last"  # last | best: the epoch whose weights are tested and kept as best.ckpt
    monitor: str = "val/loss"  # what `select: best` and early stopping look at; accuracies are maximised
    early_stopping_patience: int | None = None  # validations without improvement before the run stops
    checkpoint_every_n_steps: int | None = None  # beside the one after each validation
    log_every_n_steps: int | None = None  # steps per logged training mean; None: once per epoch
    progress: bool = True


@dataclass
class LoggerConfig:
    """Beside metrics.csv, which every run writes."""

    name: str = MISSING  # csv | tensorboard | wandb | mlflow
    project: str = "lecture-zoo"


@dataclass
class Config:
    """The primary schema: what `configs/train.yaml` may hold."""

    model: Any = MISSING
    data: Any = MISSING
    optimizer: Any = MISSING
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    seed: int = 0
    run_dir: str | None = None  # None: runs/<experiment>/<date_time>
    ckpt_path: str | None = None  # continue everything: a path, or `last`
    pretrained: str | None = None  # start from the weights of this checkpoint
    figures: bool = True
    expect: dict[str, list[float]] = field(default_factory=dict)  # metric: [lowest, highest] promised


@dataclass
class Settings:
    """A composed and checked configuration in plain values."""

    experiment: str
    names: dict[str, str]  # of the model, the data and the optimizer
    model: dict[str, Any]
    data: dict[str, Any]
    optimizer: dict[str, Any]
    trainer: TrainerConfig
    logger: LoggerConfig
    seed: int
    run_dir: str | None
    ckpt_path: str | None
    pretrained: str | None
    figures: bool
    expect: dict[str, list[float]]
    overrides: list[str]


def compose_settings(overrides: list[str]) -> Settings:
    """The settings that the overrides give. Raises ConfigError, one line, for whatever does not fit."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    for group, classes in load_all().items():
        for name, cls in classes.items():
            store.store(group=group, name=name, node=schema(cls))
    for override, text in zip(parse(overrides), overrides, strict=True):
        key = override.key_or_group
        if override.is_delete() and text != "~experiment":
            raise ConfigError(f"{text!r}: only ~experiment can be taken away; write key=value, or key=null")
        if not key or key.split(".")[0].split("/")[0] == "hydra":
            raise ConfigError(f"{text!r} sets nothing of the zoo's; write key=value with a key of --cfg")
        if key in GROUPS and not override.is_delete() and not isinstance(override.value(), str):
            if text != "experiment=null":
                raise ConfigError(f"{text!r}: {key} takes a name; see --help for the valid ones")
    chosen = {text.split("=", 1)[0] for text in overrides}
    composed = ["~experiment" if text == "experiment=null" else path_as_typed(text) for text in overrides]
    if chosen & {"model", "data"} and not chosen & {"experiment", "~experiment"}:
        composed.append("~experiment")  # the default experiment is about another pair
    GlobalHydra.instance().clear()
    try:
        with initialize_config_module("zoo.configs", version_base="1.3"):
            config = compose("train", composed, return_hydra_config=True)
            choices = dict(config.hydra.runtime.choices)
            OmegaConf.set_struct(config, False)
            del config.hydra
            values = OmegaConf.to_container(config, resolve=True)
    except (HydraException, OmegaConfBaseException, ValueError, TypeError, KeyError, AssertionError, OSError) as error:
        # Hydra raises bare errors of several kinds for malformed override lists.
        raise ConfigError(explain(error)) from error
    for part, valid in (("", Config), ("trainer", TrainerConfig), ("logger", LoggerConfig)):
        known = [f.name for f in fields(valid)] + ["experiment"] * (not part)
        for key in values[part] if part else values:
            if key not in known:  # added with a plus sign
                raise ConfigError(f"unknown key {f'{part}.{key}' if part else key!r}{nearest(key, known)}")
    for key, value in flat(values):
        if value == MISSING and not key.startswith("model."):  # a model's may be filled from what the data provides
            raise ConfigError(f"{key} needs a value")
    names = {group: choices[group] for group in ("model", "data", "optimizer")}
    settings = Settings(
        experiment=choices.get("experiment") or f"{names['model']}_on_{names['data']}",
        names=names,
        trainer=TrainerConfig(**values.pop("trainer")),
        logger=LoggerConfig(**values.pop("logger")),
        overrides=list(overrides),
        **values,
    )
    check(settings)
    return settings


def check(settings: Settings) -> None:
    """Ranges of what is not checked by the part itself. Raises ConfigError naming the key."""
    trainer = settings.trainer

    def require(holds: bool, key: str, rule: str, value: object) -> None:
        if not holds:
            raise ConfigError(f"{key} must be {rule}, got {value}")

    def one_of(key: str, choices: tuple[str, ...], value: str) -> None:
        require(value in choices, key, f"one of {', '.join(choices)}", repr(value) + nearest(value, choices))

    one_of("trainer.accelerator", ("auto", "cpu", "gpu", "mps"), trainer.accelerator)
    one_of("trainer.precision", PRECISIONS, trainer.precision)
    one_of("trainer.monitor", ("val/loss", "val/acc"), trainer.monitor)
    one_of("trainer.select", ("last", "best"), trainer.select)
    one_of("logger.name", tuple(LOGGER_PACKAGES), settings.logger.name)
    package = LOGGER_PACKAGES[settings.logger.name]
    if importlib.util.find_spec(package) is None:
        raise ConfigError(f"logger={settings.logger.name} needs the package {package}: pip install {package}")
    for key in ("max_epochs", "val_every_n_epochs", "devices", "num_nodes"):
        require(getattr(trainer, key) >= 1, f"trainer.{key}", ">= 1", getattr(trainer, key))
    cores = os.cpu_count() or 1
    require((trainer.threads or 1) <= cores, "trainer.threads", f"<= {cores}, this machine's cores", trainer.threads)
    for key in (
        "threads", "max_steps", "early_stopping_patience", "checkpoint_every_n_steps", "log_every_n_steps"
    ):  # fmt: skip
        value = getattr(trainer, key)
        require(value is None or value >= 1, f"trainer.{key}", ">= 1 or null", value)
    clip = trainer.gradient_clip_norm
    require(clip is None or 0 < clip < math.inf, "trainer.gradient_clip_norm", "> 0 or null", clip)
    require(0 <= settings.seed < 2**32, "seed", "in 0 .. 2^32 - 1", settings.seed)
    for name, band in settings.expect.items():
        require(len(band) == 2 and band[0] <= band[1], f"expect.{name}", "[lowest, highest]", band)


def flat(values: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Nested keys as `trainer.max_epochs`, with their values."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def explain(error: BaseException) -> str:
    """One line out of Hydra's or OmegaConf's error: what was wrong, where, what is valid."""
    chain = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    for link in chain:
        if isinstance(link, MissingConfigException) and link.options is not None:
            group, _, name = str(link.missing_cfg_file).rpartition("/")
            options = sorted(link.options)
            valid = ", ".join(options) if len(options) <= FEW else f"the {len(options)} that --help lists"
            return f"unknown {group} {name!r}{nearest(name, options)}; valid: {valid}"
    for link in chain:
        if isinstance(link, OmegaConfBaseException) and link.full_key:
            parent, key = link.parent_node, str(link.key)
            where = link.full_key
            if "not in" in str(link.msg) and parent is not None:
                valid = sorted(str(k) for k in parent.keys()) if hasattr(parent, "keys") else []
                if "hydra" in valid:  # the top, where an experiment is chosen but is no key
                    valid = sorted({*valid, "experiment"} - {"hydra"})
                inner = {part: parent[part] for part in valid if isinstance(parent.get(part), DictConfig)}
                names = [f"{part}.{name}" for part, keys in inner.items() for name in keys]
                homes = [name for name in names if name.endswith((f".{key}", f"_{key}"))]  # lr, epochs
                hint = f" (did you mean {homes[0]!r}?)" if homes else nearest(key, valid)
                return f"unknown key {where!r}{hint}; valid: {', '.join(valid)}"
            if "is not a ListConfig" in str(link.msg):
                return f"{where} takes a list, such as {where}=[1]"
            return f"{where}: {first_line(link.msg or link)}"
    if isinstance(error, OSError):  # it looks for a file of the name that was typed, too long a one for example
        return f"{short(os.path.basename(error.filename or ''))}: {error.strerror}"
    return first_line(error)


def first_line(error: object) -> str:
    """The first line that says something, of a text of several."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def expand(overrides: list[str]) -> list[list[str]]:
    """Every combination of the values that a sweep lists (`seed=1,2,3 optimizer=sgd,adam`), in the order given."""
    choices = []
    for override, text in zip(parse(overrides), overrides, strict=True):
        if override.is_sweep_override():
            try:
                values = list(itertools.islice(override.sweep_string_iterator(), MANY + 1))
            except (
                HydraException,
                ValueError,
                TypeError,
                ZeroDivisionError,
            ) as error:  # glob(), interval(), range(0,1,0)
                raise ConfigError(f"{text!r} cannot be swept: {first_line(error)}") from error
            choices.append([f"{override.get_key_element()}={value}" for value in values])
        else:
            choices.append([text])
    if math.prod(map(len, choices)) > MANY:
        raise ConfigError(f"these overrides name more than {MANY:,} runs")
    return [list(job) for job in itertools.product(*choices)]


def path_as_typed(text: str) -> str:
    """An override of a path in quotes where Hydra would not read the path as it was typed.

    To its grammar `=`, an umlaut and a pair of brackets are mistakes, and 2026_01 is a number. Quotes, null and the
    lists of a sweep stay what they are.
    """
    key, _, value = text.partition("=")
    if key not in PATHS or value[:1] in ("'", '"'):
        return text
    with contextlib.suppress(HydraException):
        override = OverridesParser.create().parse_override(text)
        if override.is_sweep_override() or override.value() in (None, value):
            return text
    return f"{key}={QuotedString(value, Quote.single).with_quotes()}"


def parse(overrides: list[str]) -> list[Override]:
    """Hydra's reading of the overrides. Raises ConfigError."""
    try:
        return OverridesParser.create().parse_overrides([path_as_typed(text) for text in overrides])
    except HydraException as error:
        lines = [line.strip() for line in str(error).splitlines() if "https://hydra.cc" not in line]
        raise ConfigError(f"{': '.join(lines[:2])}; write key=value, without spaces") from error
