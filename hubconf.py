"""Entry points of torch.hub: for each trained network that ships, `mnist_lenet`, and for each model, `lenet`.

import torch
net = torch.hub.load("/path/to/the/zoo", "mnist_lenet", source="local")
print(net.predict("seven.png"))
"""

from collections.abc import Callable as _Callable  # torch.hub lists every callable without an underscore
from typing import Any as _Any

import zoo

dependencies = ["torch", "safetensors", "PIL"]


def _trained(name: str) -> _Callable[[], _Any]:
    """The entry point of a network of `zoo.list_models(pretrained=True)`."""

    def entry() -> _Any:
        return zoo.load(name)

    entry.__doc__ = f'The trained network {name}, in eval mode: zoo.load("{name}").'
    return entry


def _untrained(name: str) -> _Callable[..., _Any]:
    """The entry point of a model of `zoo.list_models()`."""

    def entry(pretrained: str | None = None, **arguments: _Any) -> _Any:
        return zoo.create(name, pretrained=pretrained, **arguments)

    entry.__doc__ = f'A network to be trained, zoo.create("{name}", ...); pretrained: what it starts from.'
    return entry


globals().update({_name: _untrained(_name) for _name in zoo.list_models()})
globals().update({_name.replace("-", "_"): _trained(_name) for _name in zoo.list_models(pretrained=True)})
