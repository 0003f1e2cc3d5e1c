"""Names -> classes, and a class's signature -> the schema of its settings.

`@register("lenet")` on a model makes `model=lenet` selectable; its typed constructor is the schema, so a misspelt
key or a wrong type is an error before any work starts, and no default is written twice. Needs no Hydra: loading a
trained network comes through here too.
"""

import dataclasses
import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Iterable
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from zoo.errors import ConfigError

MISSING = "???"  # OmegaConf's sign for a value that something else must give

T = TypeVar("T", bound=type)

CLASSES: dict[str, dict[str, type]] = {"model": {}, "data": {}, "optimizer": {}}


def register(name: str, group: str = "model"):
    """Class decorator: make the class selectable as `<group>=<name>`."""

    def decorate(cls: T) -> T:
        if name in CLASSES[group]:
            raise ValueError(f"{group} {name!r} is registered twice: {CLASSES[group][name]} and {cls}")
        CLASSES[group][name] = cls
        return cls

    return decorate


def schema(cls: type) -> type:
    """A dataclass with the arguments of `cls`, their types and defaults; one without default is MISSING.

    Missing values of a model are filled from what the data provides (number of classes, of features, ...).
    """
    hints = get_type_hints(cls.__init__)
    fields: list[Any] = []
    for parameter in list(inspect.signature(cls.__init__).parameters.values())[1:]:
        default: Any = MISSING if parameter.default is parameter.empty else parameter.default
        if isinstance(default, (list, dict)):
            default = dataclasses.field(default_factory=lambda value=default: value)
        fields.append((parameter.name, hints[parameter.name], default))
    return dataclasses.make_dataclass(cls.__name__, fields)


def load_all() -> dict[str, dict[str, type]]:
    """Import every model and data file, so that each has registered itself, and return the classes by group."""
    for package in ("zoo.models", "zoo.data"):
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
            importlib.import_module(f"{package}.{module.name}")
    importlib.import_module("zoo.optimizers")
    return CLASSES


def defaults(group: str, name: str) -> dict[str, Any]:
    """The arguments of `name` that need not be given, with their defaults."""
    parameters = inspect.signature(load_all()[group][name]).parameters
    return {key: one.default for key, one in parameters.items() if one.default is not one.empty}


def nearest(word: str, valid: Iterable[object]) -> str:
    """` (did you mean ...?)`, or nothing where no valid word is close."""
    close = difflib.get_close_matches(str(word), [str(v) for v in valid], n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def build(group: str, name: str, arguments: dict[str, Any]) -> Any:
    """An instance of `name`.

    Raises ConfigError: unknown name or argument, missing argument, wrong type, value out of range, no memory for it.
    """
    classes = load_all()[group]
    if name not in classes:
        raise ConfigError(f"unknown {group} {name!r}{nearest(name, classes)}; valid: {', '.join(sorted(classes))}")
    parameters = inspect.signature(classes[name]).parameters
    for key in arguments:
        if key not in parameters:
            valid = ", ".join(parameters)
            raise ConfigError(f"{group} {name!r} has no argument {key!r}{nearest(key, parameters)}; valid: {valid}")
    hints = get_type_hints(classes[name].__init__)
    for key, parameter in parameters.items():
        value = arguments.get(key, parameter.default)
        if value is parameter.empty or value == MISSING:
            raise ConfigError(f"{group} {name!r} needs {key!r}, which nothing has given")
        if not is_a(value, hints[key]):
            wanted = getattr(hints[key], "__name__", hints[key]) if get_origin(hints[key]) is None else hints[key]
            raise ConfigError(f"{group}={name}: {key} must be of type {wanted}, got {value!r}")
    try:
        return classes[name](**arguments)
    except (
        ValueError,
        RuntimeError,
        TypeError,
        OverflowError,
        MemoryError,
    ) as error:  # torch's for sizes beyond memory
        raise ConfigError(f"{group}={name}: {str(error).splitlines()[0]}") from error


def is_a(value: object, hint: Any) -> bool:
    """Whether a plain value is of the type: int, float (an int will do), str, bool, None, a list or union of them."""
    if get_origin(hint) is list:
        return isinstance(value, list) and all(is_a(item, get_args(hint)[0]) for item in value)
    if get_origin(hint) in (Union, UnionType):
        return any(is_a(value, one) for one in get_args(hint))
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float) if hint is float else hint)
