"""The recipes build what they say, and the learning rate goes where it should."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from zoo.errors import ConfigError
from zoo.optimizers import SCHEDULES
from zoo.registry import build, load_all

GRADIENTS = (0.5, -2.0, 0.25)
START, LR, EPS = 1.5, 0.1, 1e-8


def sgd(w: float) -> float:  # with momentum and weight decay
    v = 0.0
    for g in GRADIENTS:
        v = 0.9 * v + (g + 0.01 * w)
        w -= LR * v
    return w


def nesterov(w: float) -> float:
    v = 0.0
    for g in GRADIENTS:
        v = 0.9 * v + g
        w -= LR * (g + 0.9 * v)
    return w


def adam(w: float, coupled: float = 0.0, decoupled: float = 0.0) -> float:
    m = s = 0.0
    for t, g in enumerate(GRADIENTS, 1):
        w *= 1 - LR * decoupled
        g += coupled * w
        m, s = 0.8 * m + 0.2 * g, 0.99 * s + 0.01 * g * g
        w -= LR * (m / (1 - 0.8**t)) / (math.sqrt(s / (1 - 0.99**t)) + EPS)
    return w


def adagrad(w: float) -> float:
    s = 0.0
    for g in GRADIENTS:
        s += g * g
        w -= LR * g / (math.sqrt(s) + 1e-10)
    return w


def adadelta(w: float) -> float:
    s = d = 0.0
    for g in GRADIENTS:
        s = 0.9 * s + 0.1 * g * g
        delta = math.sqrt(d + 1e-6) / math.sqrt(s + 1e-6) * g
        d = 0.9 * d + 0.1 * delta * delta
        w -= LR * delta
    return w


def rmsprop(w: float) -> float:
    s = 0.0
    for g in GRADIENTS:
        s = 0.95 * s + 0.05 * g * g
        w -= LR * g / (math.sqrt(s) + EPS)
    return w


@pytest.mark.parametrize(
    ("name", "arguments", "by_hand"),
    [
        ("sgd", {"momentum": 0.9, "weight_decay": 0.01}, sgd),
        ("sgd", {"momentum": 0.9, "nesterov": True}, nesterov),
        ("adam", {"beta1": 0.8, "beta2": 0.99}, adam),
        ("adam", {"beta1": 0.8, "beta2": 0.99, "weight_decay": 0.3}, lambda w: adam(w, coupled=0.3)),
        ("adamw", {"beta1": 0.8, "beta2": 0.99, "weight_decay": 0.3}, lambda w: adam(w, decoupled=0.3)),
        ("adagrad", {}, adagrad),
        ("adadelta", {}, adadelta),
        ("rmsprop", {"alpha": 0.95}, rmsprop),
    ],
)
def test_three_steps_by_hand(name: str, arguments: dict[str, object], by_hand: Callable[[float], float]) -> None:
    w = nn.Parameter(torch.tensor(START, dtype=torch.float64))
    optimizer = build("optimizer", name, {"lr": LR, **arguments}).build([w])
    for gradient in GRADIENTS:
        w.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
    assert float(w.detach()) == pytest.approx(by_hand(START), rel=1e-9)


def test_every_optimizer_of_the_slide_is_there() -> None:
    slide_s20 = {"sgd", "adam", "adamw", "adagrad", "adadelta", "rmsprop"}  # momentum: sgd with momentum=
    assert slide_s20 <= set(load_all()["optimizer"])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 0.25])
def test_schedules_stay_in_range_and_start_and_end_where_they_should(schedule: str, warmup: float) -> None:
    recipe = build("optimizer", "adam", {"schedule": schedule, "warmup": warmup})
    factors = [recipe.factor(step, 100) for step in range(100)]
    assert all(0 < f <= 1 for f in factors)
    assert max(factors) == 1
    if warmup:
        assert factors[:25] == pytest.approx([(i + 1) / 25 for i in range(25)])
    falling = factors[25:] if warmup else factors
    assert falling == sorted(falling, reverse=True)
    end = {"constant": 1, "linear": 0, "cosine": 0, "step": 0.01, "exponential": 0.1}[schedule]
    assert factors[-1] == pytest.approx(end, abs=0.02)
    assert recipe.constant == (schedule == "constant" and warmup == 0)


@pytest.mark.parametrize("schedule", ["linear", "cosine", "exponential"])
def test_schedules_are_pytorchs(schedule: str) -> None:
    recipe = build("optimizer", "sgd", {"lr": 1.0, "schedule": schedule})
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(()))], lr=1.0)
    theirs = {
        "linear": lambda: torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, 50),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50),
        "exponential": lambda: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.1 ** (1 / 50)),
    }[schedule]()
    for step in range(50):
        assert recipe.factor(step, 50) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6)
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("sgd", {"lr": 0.0}, "lr must be a finite number > 0, got 0.0"),
        ("sgd", {"momentum": 1.0}, r"momentum must lie in \[0, 1\)"),
        ("sgd", {"nesterov": True}, "nesterov needs momentum > 0"),
        ("adam", {"beta1": 1.0}, r"beta1 must lie in \[0, 1\)"),
        ("adamw", {"weight_decay": -1.0}, "weight_decay must be a finite number >= 0"),
        ("adadelta", {"rho": 2.0}, "rho must lie in"),
        ("rmsprop", {"alpha": -0.5}, "alpha must lie in"),
        ("adagrad", {"schedule": "one_cycle"}, "schedule must be one of constant, linear, cosine, step, exponential"),
        ("adam", {"warmup": 1.0}, r"warmup must lie in \[0, 1\)"),
        ("adam", {"gamma": 0.0}, r"gamma must lie in \(0, 1\]"),
        ("lion", {}, "unknown optimizer 'lion'; valid: adadelta, adagrad, adam, adamw, rmsprop, sgd"),
    ],
)
def test_bad_values_are_named_with_their_rule(name: str, wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build("optimizer", name, wrong)
