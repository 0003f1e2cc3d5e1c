"""Over the registry: every network has the right shapes, a sane loss at the start, and learns with every parameter."""

import math

import pytest
import torch

import zoo
from zoo.registry import load_all

ARGUMENTS = {"num_classes": 10, "in_features": 12}


def make(name: str) -> torch.nn.Module:
    cls = load_all()["model"][name]
    hints = cls.__init__.__annotations__
    return zoo.create(name, **{k: v for k, v in ARGUMENTS.items() if k in hints})


@pytest.mark.parametrize("name", zoo.list_models())
def test_loss_starts_at_chance_and_every_parameter_gets_a_gradient(name: str) -> None:
    torch.manual_seed(0)
    net = make(name)
    x = torch.randn_like(net.example_input.repeat(16, *[1] * (net.example_input.dim() - 1)))
    loss = net.loss((x, torch.arange(len(x)) % 10))["loss"]
    assert abs(float(loss.detach()) - math.log(10)) < 0.5
    loss.backward()
    for parameter_name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, parameter_name
