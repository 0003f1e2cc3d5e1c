"""Names -> classes, and a class's signature -> the schema of its settings.

`@register("lenet")` on a model makes `model=lenet` selectable; its typed constructor is the schema, so a misspelt
key or a wrong type is an error before any work starts, and no default is written twice. Needs no Hydra: loading a
trained network comes through here too.
"""

import dataclasses
import importlib
import inspect
import pkgutil
from typing import Any, TypeVar, get_type_hints

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


def build(group: str, name: str, arguments: dict[str, Any]) -> Any:
    """An instance of `name`. Raises ConfigError: unknown name or argument, missing argument, value out of range."""
    classes = load_all()[group]
    if name not in classes:
        raise ConfigError(f"unknown {group} {name!r}; valid: {', '.join(sorted(classes))}")
    parameters = inspect.signature(classes[name]).parameters
    for key in arguments:
        if key not in parameters:
            raise ConfigError(f"{group} {name!r} has no argument {key!r}; valid: {', '.join(parameters)}")
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and arguments.get(key, MISSING) == MISSING:
            raise ConfigError(f"{group} {name!r} needs {key!r}, which nothing has given")
    try:
        return classes[name](**arguments)
    except ValueError as error:
        raise ConfigError(f"{group}={name}: {error}") from error
