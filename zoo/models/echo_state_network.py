"""Echo state network: a fixed random recurrent network, of which only the linear read-out is learnt, in one step.

Lecture: Cyprus U49 (slide 7, learning outcome 7: echo state networks).
Source:  Jaeger, The "echo state" approach to analysing and training recurrent neural networks, GMD report 148, 2001;
         Jaeger & Haas, Harnessing nonlinearity, Science 2004.
Input:   x (B, T, in_features) float32, windows of a series.
Output:  (B, 1) float32, the value that comes after each window.
Result:  configs/experiment/mackey_glass_esn.yaml.
Differs: a dense reservoir (2001: 1 % of the connections) without feedback from the output; every window starts from the
         state zero, where 2001 runs through the series once and throws the first states away.

The reservoir:  h_t = tanh(W h_(t-1) + W_in x_t + b),  h_0 = 0; W, W_in and b are drawn once and stay
The read-out:   y = w [x_T, h_T] + c. The w with the least  sum (y - target)^2 + ridge |w|^2  solves linear equations,
                (Z'Z + ridge I) w = Z' targets, where Z holds the inputs of the read-out and all means are taken off
Echo state:     W is scaled so that its largest eigenvalue has the modulus `spectral_radius`. Below 1 a state fades
                with every step, about by that factor: at the end of a window of 100 nothing is left of h_0 (the
                washout), and h_T is an echo of the inputs. No gradient goes through time, so none can vanish.

Shapes: B windows, T time, D inputs, H reservoir.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.registry import register


@register("echo_state_network")
class EchoStateNetwork(nn.Module):
    """H fixed tanh neurons, H (H + D + 1) fixed weights; 1 output, H + D + 1 trained weights.

    in_features: D, numbers at each step.
    reservoir_size: H.
    spectral_radius: modulus of the reservoir's largest eigenvalue, > 0; above 1 the start may never be forgotten.
    input_scale: weights from the input and biases are drawn from [-input_scale, input_scale].
    ridge: what is added to the diagonal of the equations, > 0; the larger, the smaller the weights of the read-out.
    """

    takes_all_at_once = True

    def __init__(
        self,
        in_features: int,
        reservoir_size: int = 200,
        spectral_radius: float = 0.9,
        input_scale: float = 0.5,
        ridge: float = 1e-8,
    ):
        super().__init__()
        for name, number in {"in_features": in_features, "reservoir_size": reservoir_size}.items():
            if number < 1:
                raise ValueError(f"{name} must be >= 1, got {number}")
        for name, value in {"spectral_radius": spectral_radius, "input_scale": input_scale, "ridge": ridge}.items():
            if not 0 < value < float("inf"):
                raise ValueError(f"{name} must be a finite number > 0, got {value}")
        self.in_features, self.ridge = in_features, ridge
        recurrent = torch.randn(reservoir_size, reservoir_size)  # (H, H)
        largest = torch.linalg.eigvals(recurrent).abs().max()
        # Buffers: they are saved, as nothing else tells them, but they are no parameters, and no optimizer sees them.
        self.register_buffer("recurrent", recurrent * (spectral_radius / largest))
        self.register_buffer("input", input_scale * (2 * torch.rand(reservoir_size, in_features) - 1))  # (H, D)
        self.register_buffer("bias", input_scale * (2 * torch.rand(reservoir_size) - 1))  # (H,)
        self.output = nn.Linear(in_features + reservoir_size, 1)

    @property
    def example_input(self) -> Tensor:
        """Two windows of three steps."""
        return torch.zeros(2, 3, self.in_features)

    def features(self, x: Tensor) -> Tensor:
        """What the read-out sees of windows x (B, T, D): the last input and the last state (B, D + H)."""
        if x.dim() != 3 or x.shape[2] != self.in_features:
            raise ValueError(f"the network takes (B, T, {self.in_features}) numbers, got {tuple(x.shape)}")
        h = x.new_zeros(x.shape[0], len(self.bias))  # (B, H)
        for x_t in x.unbind(1):
            h = torch.tanh(F.linear(x_t, self.input, self.bias) + F.linear(h, self.recurrent))
        return torch.cat([x[:, -1], h], 1)

    def forward(self, x: Tensor) -> Tensor:
        """The next value (B, 1) of windows (B, T, D)."""
        return self.output(self.features(x))

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Squared error per window."""
        x, targets = batch
        return {"loss": (self(x)[:, 0] - targets).square().mean()}

    @torch.no_grad()
    def update(self, batch: tuple[Tensor, Tensor], lr: float) -> dict[str, Tensor]:
        """Solve for the read-out: the batch is the whole training set, and the rate means nothing. Gives the loss."""
        z, targets = self.features(batch[0]).double(), batch[1].double()  # (B, D + H), (B,)
        means, mean = z.mean(0), targets.mean()
        z, targets = z - means, targets - mean
        w = torch.linalg.solve(z.T @ z + self.ridge * torch.eye(z.shape[1]).to(z), z.T @ targets)  # (D + H,)
        self.output.weight.copy_(w[None])
        self.output.bias.copy_(mean - means @ w)
        return self.loss(batch)
