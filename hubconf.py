"""Entry points of torch.hub: for each trained network that ships, `mnist_lenet`, and for each model, `lenet`.

import torch
net = torch.hub.load("/path/to/the/zoo", "mnist_lenet", source="local")
print(net.predict("seven.png"))
"""

from collections.abc import Callable
from typing import Any

import zoo

dependencies = ["torch", "safetensors", "PIL"]


def trained(name: str) -> Callable[[], Any]:
    """The entry point of a network of `zoo.list_models(pretrained=True)`."""

    def entry() -> Any:
        return zoo.load(name)

    entry.__doc__ = f'The trained network {name}, in eval mode: zoo.load("{name}").'
    return entry


def untrained(name: str) -> Callable[..., Any]:
    """The entry point of a model of `zoo.list_models()`."""

    def entry(pretrained: str | None = None, **arguments: Any) -> Any:
        return zoo.create(name, pretrained=pretrained, **arguments)

    entry.__doc__ = f'A network to be trained, zoo.create("{name}", ...); pretrained: what it starts from.'
    return entry


globals().update({name: untrained(name) for name in zoo.list_models()})
globals().update({name.replace("-", "_"): trained(name) for name in zoo.list_models(pretrained=True)})
