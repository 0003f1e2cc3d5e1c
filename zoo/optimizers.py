"""The optimizers of the lectures (Shanghai S20) and their learning-rate schedules: `optimizer=adam optimizer.lr=1e-3`.

Every class takes its settings as plain values, checks them, and builds PyTorch's own optimizer. The schedule is a
pure function of the step, so a run that is continued in the middle finds the same learning rate again.
"""

import math
from collections.abc import Iterable

import torch
from torch.optim import Optimizer

from zoo.registry import register

SCHEDULES = ("constant", "linear", "cosine", "step", "exponential")


class Recipe:
    """What all optimizers share: learning rate, weight decay and the schedule.

    lr: peak learning rate, > 0.
    weight_decay: >= 0; added to the gradient as weight_decay * w (AdamW: decoupled from it).
    schedule: what the rate does after the warm-up: constant | linear or cosine, falling to 0 (with a warm-up this is
        the "one cycle" of Smith & Topin 2018) | step, times gamma at one third and at two thirds | exponential, falling
        to gamma times the peak.
    warmup: fraction of the run, in [0, 1), in which the rate climbs linearly to its peak.
    gamma: factor of `step` and `exponential`, in (0, 1].
    """

    def __init__(self, lr: float, weight_decay: float, schedule: str, warmup: float, gamma: float):
        if not (0 < lr < math.inf):
            raise ValueError(f"lr must be a finite number > 0, got {lr}")
        if not (0 <= weight_decay < math.inf):
            raise ValueError(f"weight_decay must be a finite number >= 0, got {weight_decay}")
        if schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {schedule!r}")
        if not (0 <= warmup < 1):
            raise ValueError(f"warmup must lie in [0, 1), got {warmup}")
        if not (0 < gamma <= 1):
            raise ValueError(f"gamma must lie in (0, 1], got {gamma}")
        self.lr, self.weight_decay = lr, weight_decay
        self.schedule, self.warmup, self.gamma = schedule, warmup, gamma

    @property
    def constant(self) -> bool:
        """Whether the learning rate never changes, so that no schedule need be kept."""
        return self.schedule == "constant" and self.warmup == 0

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> Optimizer:
        """PyTorch's optimizer over `parameters`, at the peak learning rate."""
        raise AssertionError("each optimizer builds its own")

    def factor(self, step: int, total: int) -> float:
        """What the peak rate is multiplied by at `step` (from 0) of `total`; in [0, 1]."""
        done = step / max(1, total)  # fraction of the run
        if done < self.warmup:
            return (step + 1) / max(1, math.ceil(self.warmup * total))
        after = (done - self.warmup) / (1 - self.warmup)  # fraction of what follows the warm-up
        if self.schedule == "linear":
            return max(0.0, 1 - after)
        if self.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * min(1.0, after)))
        if self.schedule == "step":
            return self.gamma ** math.floor(3 * min(after, 0.999))  # two drops: at a third and at two thirds
        if self.schedule == "exponential":
            return self.gamma**after
        return 1.0


@register("sgd", group="optimizer")
class SGD(Recipe):
    """Stochastic gradient descent, with momentum if wanted (Robbins & Monro 1951; Polyak 1964; Nesterov 1983)."""

    def __init__(
        self,
        lr: float = 0.1,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        schedule: str = "constant",
        warmup: float = 0.0,
        gamma: float = 0.1,
    ):
        super().__init__(lr, weight_decay, schedule, warmup, gamma)
        if not (0 <= momentum < 1):
            raise ValueError(f"momentum must lie in [0, 1), got {momentum}")
        if nesterov and momentum == 0:
            raise ValueError("nesterov needs momentum > 0, got momentum=0")
        self.momentum, self.nesterov = momentum, nesterov

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> Optimizer:
        """PyTorch's `SGD`."""
        return torch.optim.SGD(
            parameters, self.lr, self.momentum, weight_decay=self.weight_decay, nesterov=self.nesterov
        )


class AdamRecipe(Recipe):
    """What Adam and AdamW share: the two decay rates of the running moments.

    fused: PyTorch's implementation in one pass, on a CPU three times as fast; it rounds differently.
    """

    def __init__(
        self,
        lr: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        weight_decay: float = 0.0,
        schedule: str = "constant",
        warmup: float = 0.0,
        gamma: float = 0.1,
        fused: bool = False,
    ):
        super().__init__(lr, weight_decay, schedule, warmup, gamma)
        for name, beta in (("beta1", beta1), ("beta2", beta2)):
            if not (0 <= beta < 1):
                raise ValueError(f"{name} must lie in [0, 1), got {beta}")
        self.betas, self.fused = (beta1, beta2), fused


@register("adam", group="optimizer")
class Adam(AdamRecipe):
    """Adam (Kingma & Ba 2015)."""

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> Optimizer:
        """PyTorch's `Adam`."""
        return torch.optim.Adam(parameters, self.lr, self.betas, weight_decay=self.weight_decay, fused=self.fused)


@register("adamw", group="optimizer")
class AdamW(AdamRecipe):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> Optimizer:
        """PyTorch's `AdamW`."""
        return torch.optim.AdamW(parameters, self.lr, self.betas, weight_decay=self.weight_decay, fused=self.fused)


@register("adagrad", group="optimizer")
class Adagrad(Recipe):
    """Adagrad (Duchi, Hazan & Singer 2011)."""

    def __init__(
        self,
        lr: float = 0.01,
        weight_decay: float = 0.0,
        schedule: str = "constant",
        warmup: float = 0.0,
        gamma: float = 0.1,
    ):
        super().__init__(lr, weight_decay, schedule, warmup, gamma)

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> Optimizer:
        """PyTorch's `Adagrad`."""
        return torch.optim.Adagrad(parameters, self.lr, weight_decay=self.weight_decay)


@register("adadelta", group="optimizer")
class Adadelta(Recipe):
    """Adadelta (Zeiler 2012); `rho` is the decay rate of its two running means."""

    def __init__(
        self,
        lr: float = 1.0,
        rho: float = 0.9,
        weight_decay: float = 0.0,
        schedule: str = "constant",
        warmup: float = 0.0,
        gamma: float = 0.1,
    ):
        super().__init__(lr, weight_decay, schedule, warmup, gamma)
        if not (0 <= rho < 1):
            raise ValueError(f"rho must lie in [0, 1), got {rho}")
        self.rho = rho

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> Optimizer:
        """PyTorch's `Adadelta`."""
        return torch.optim.Adadelta(parameters, self.lr, self.rho, weight_decay=self.weight_decay)


@register("rmsprop", group="optimizer")
class RMSprop(Recipe):
    """RMSprop (Tieleman & Hinton 2012); `alpha` is the decay rate of the mean square."""

    def __init__(
        self,
        lr: float = 1e-3,
        alpha: float = 0.99,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        schedule: str = "constant",
        warmup: float = 0.0,
        gamma: float = 0.1,
    ):
        super().__init__(lr, weight_decay, schedule, warmup, gamma)
        for name, value in (("alpha", alpha), ("momentum", momentum)):
            if not (0 <= value < 1):
                raise ValueError(f"{name} must lie in [0, 1), got {value}")
        self.alpha, self.momentum = alpha, momentum

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> Optimizer:
        """PyTorch's `RMSprop`."""
        return torch.optim.RMSprop(
            parameters, self.lr, self.alpha, momentum=self.momentum, weight_decay=self.weight_decay
        )
