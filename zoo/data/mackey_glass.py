"""The Mackey-Glass series: what comes next of a chaotic signal, the usual trial of echo state networks (Cyprus U49).

Source: Mackey & Glass, Oscillation and chaos in physiological control systems, Science 1977; as a benchmark of networks
Jaeger & Haas, Harnessing nonlinearity, Science 2004. It is computed here, so there is nothing to fetch:

    dx/dt = 0.2 x(t - tau) / (1 + x(t - tau)^10) - 0.1 x(t),  tau = 17,  one value per unit of time

Training, validation and test part follow one another in time, and no window reaches over a border.
"""

import torch
from torch import Tensor, nn

from zoo.data.dataset import DataSet
from zoo.registry import register

STEPS = 10  # of the integration per unit of time
START, SETTLING = 1.2, 1000  # the value before time 0; units of time that are thrown away
VALIDATION, TEST = 500, 1000  # windows


@register("mackey_glass", group="data")
class MackeyGlass(DataSet):
    """Items (length, 1) float32: a window of the series; the label is the value after it, float32.

    length: values in a window. tau: delay; up to 16 the series is periodic, from 17 on chaotic.
    train_size: windows to train on, each a value later than the one before; 500 are validation, 1,000 are test.
    """

    licence = "none: computed numbers"
    probes_untrained = False

    def __init__(self, batch_size: int = 100, length: int = 100, tau: int = 17, train_size: int = 2000):
        super().__init__(batch_size)
        for name, value in (("length", length), ("tau", tau), ("train_size", train_size)):
            if value < 1:
                raise ValueError(f"{name} must be >= 1, got {value}")
        self.length, self.tau, self.train_size = length, tau, train_size
        self.provides = {
            "num_classes": 0,
            "vocab_size": 0,
            "in_features": 1,
            "context_length": length,
            "input_shape": [length, 1],
        }

    def load(self) -> None:
        """Integrate the equation and cut the series into its parts."""
        sizes = {"train": self.train_size, "val": VALIDATION, "test": TEST}
        series = mackey_glass(sum(sizes.values()) + 3 * self.length, self.tau)
        start = 0
        for part, size in sizes.items():
            values = series[start : start + size + self.length]
            windows = values.unfold(0, self.length, 1)[:-1, :, None]  # (size, length, 1)
            setattr(self, part, (windows.contiguous(), values[self.length :]))
            start += len(values)

    def example_batch(self) -> tuple[Tensor, ...]:
        """Two windows of zeros."""
        return torch.zeros(2, self.length, 1), torch.zeros(2)

    @torch.no_grad()
    def probe(self, network: nn.Module) -> dict[str, float]:
        """NRMSE on the test part, and that of persistence, the guess that the next value is the last one.

        It is the root of the mean squared error as a share of the series' standard deviation: to say the mean gives 1.
        """
        x, targets = self.test
        answers = torch.cat([network(part)[:, 0] for part in x.split(500)])
        guesses = {"nrmse": answers, "nrmse_of_persistence": x[:, -1, 0]}
        return {name: float((y - targets).square().mean().sqrt() / targets.std()) for name, y in guesses.items()}

    @torch.no_grad()
    def left_alone(self, network: nn.Module, steps: int) -> tuple[Tensor, Tensor]:
        """The first values of the test part, and what a network makes of them that is given its own answers to read."""
        window, answers = self.test[0][:1], []
        for _ in range(steps):
            answers.append(network(window))  # (1, 1)
            window = torch.cat([window[:, 1:], answers[-1][:, :, None]], 1)  # (1, length, 1)
        return self.test[1][:steps], torch.cat(answers)[:, 0]


def mackey_glass(count: int, tau: int = 17) -> Tensor:
    """`count` values (count,) float32 of the series at the times 1000, 1001, ..., by Runge and Kutta's method.

    Half way through a step the delayed value is the mean of those at its ends. There are only sums, products and
    quotients of float64, so that a chaotic series is the same on every machine.
    """
    step, lag = 1 / STEPS, tau * STEPS

    def slope(x: float, delayed: float) -> float:
        square = delayed * delayed
        fourth = square * square
        return 0.2 * delayed / (1 + fourth * fourth * square) - 0.1 * x

    x = [START] * (lag + 1)  # the last is at time 0
    for _ in range((SETTLING + count) * STEPS):
        now, before, after = x[-1], x[-1 - lag], x[-lag]  # x(t), x(t - tau), x(t + step - tau)
        between = (before + after) / 2
        k1 = slope(now, before)
        k2 = slope(now + step / 2 * k1, between)
        k3 = slope(now + step / 2 * k2, between)
        k4 = slope(now + step * k3, after)
        x.append(now + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
    return torch.tensor(x[lag + SETTLING * STEPS :: STEPS][:count], dtype=torch.float64).float()
