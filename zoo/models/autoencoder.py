"""Stacked autoencoders: trained one layer at a time, then as a whole; with a classifier: autoencoder_classifier.py.

Lecture: Prague C21 (an autoencoder learns to put out what it is given, through fewer neurons), C22 (a deep one is built
         layer by layer).
Source:  Hinton & Salakhutdinov, Reducing the dimensionality of data with neural networks, Science 2006;
         Bengio et al., Greedy layer-wise training of deep networks, NIPS 2006;
         Vincent et al., Stacked denoising autoencoders, JMLR 2010: corruption.
Input:   x (B, ...) float32, flattened to (B, D); in [0, 1] where cross-entropy is to reconstruct it.
Output:  the reconstruction (B, D) float32.
Result:  configs/experiment/mnist_autoencoder.yaml, mnist_autoencoder_linear.yaml, mnist_deep_autoencoder.yaml.
Differs: 2006 pre-trained restricted Boltzmann machines. The lecture draws `target=input`, where the error of an inner
         layer still comes back through the frozen outer decoder, shrinking on its way; the papers trained each layer
         on the code that it is given, `target=code`.

Layer k of L, with h_0 = x:
    h_k = g(W_k h_(k-1) + b_k)               encoder
    r_(k-1) = f(W'_k h_k + c_k)              decoder, W'_k the transpose of W_k if tied

Shapes: B batch, D features, H hidden, L layers.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.activations import ACTIVATIONS
from zoo.models.classifier import TakesRawItems
from zoo.models.phases import Phase
from zoo.registry import register

# Of the uniform start +-gain sqrt(6 / (fan_in + fan_out)) of Glorot & Bengio 2010; the sigmoid, whose slope at rest is
# a quarter, takes four times the weights.
GAINS = {"linear": 1.0, "sigmoid": 4.0, "tanh": 1.0, "relu": 2**0.5}
CORRUPTIONS = ("none", "masking", "salt_and_pepper", "gaussian")
RECONSTRUCTIONS = ("squared_error", "cross_entropy")
TARGETS = ("code", "input")


def corrupt(x: Tensor, kind: str, level: float) -> Tensor:
    """A damaged copy (Vincent et al. 2010, section 3.3).

    level: masking: the share of numbers set to 0; salt_and_pepper: the share set to 0 or 1, by a fair coin; gaussian:
        the deviation of what is added.
    """
    if kind == "none" or level == 0:
        return x
    if kind == "gaussian":
        return x + level * torch.randn_like(x)
    drawn = torch.rand_like(x, dtype=torch.float32)
    if kind == "masking":
        return x * (drawn >= level)
    return torch.where(drawn < level, (drawn < level / 2).to(x.dtype), x)


class Decoder(nn.Module):
    """The way back of one layer: z = W' h + c; `tied`: W' is the transpose of the encoder's weight."""

    def __init__(self, encoder: nn.Linear, tied: bool):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(encoder.in_features))
        self.weight = None if tied else nn.Parameter(encoder.weight.detach().T.clone())  # starts as if it were tied

    def forward(self, h: Tensor, encoder: nn.Linear) -> Tensor:
        """(B, H) -> (B, D), before the activation."""
        return F.linear(h, encoder.weight.T if self.weight is None else self.weight, self.bias)


class Stack(TakesRawItems):
    """L encoders and their decoders, and the loss of each layer's own training; arguments as in `Autoencoder`.

    A subclass gives `phases`: those of the layers, and after them the fine-tuning.
    """

    def __init__(
        self,
        in_features: int,
        hidden_sizes: list[int] = [32],  # noqa: B006  (read, never changed; a schema needs the value)
        activation: str = "sigmoid",
        code_activation: str = "sigmoid",
        output_activation: str = "sigmoid",
        tied: bool = True,
        reconstruction: str = "squared_error",
        corruption: str = "none",
        corruption_levels: list[float] = [0.25],  # noqa: B006
        target: str = "code",
        pretraining_epochs: int = 2,
    ):
        super().__init__()
        if in_features < 1:
            raise ValueError(f"in_features must be >= 1, got {in_features}")
        if not hidden_sizes or any(size < 1 for size in hidden_sizes):
            raise ValueError(f"hidden_sizes must be one or more numbers >= 1, got {list(hidden_sizes)}")
        for name, value, valid in (
            ("activation", activation, GAINS),
            ("code_activation", code_activation, GAINS),
            ("output_activation", output_activation, GAINS),
            ("reconstruction", reconstruction, RECONSTRUCTIONS),
            ("corruption", corruption, CORRUPTIONS),
            ("target", target, TARGETS),
        ):
            if value not in valid:
                raise ValueError(f"{name} must be one of {', '.join(valid)}, got {value!r}")
        if len(corruption_levels) not in (1, len(hidden_sizes)):
            raise ValueError(f"corruption_levels must be one number or one per layer, got {list(corruption_levels)}")
        for level in corruption_levels:
            if not (0 <= level < float("inf") and (corruption == "gaussian" or level < 1)):
                raise ValueError(f"corruption_levels must lie in [0, 1), for gaussian be >= 0, got {level}")
        if pretraining_epochs < 0:
            raise ValueError(f"pretraining_epochs must be >= 0, got {pretraining_epochs}")
        inner_codes = len(hidden_sizes) > 1 and target == "code" and pretraining_epochs > 0
        if reconstruction == "cross_entropy" and (
            output_activation != "sigmoid" or (inner_codes and activation != "sigmoid")
        ):
            raise ValueError(
                "reconstruction=cross_entropy compares probabilities: the output must be a sigmoid, and activation too "
                "where codes are reconstructed; otherwise take reconstruction=squared_error"
            )
        self.in_features = in_features
        # activations[k] gives h_k; that of h_0 is for its reconstruction.
        names = [output_activation, *[activation] * (len(hidden_sizes) - 1), code_activation]
        self.activations = [ACTIVATIONS[name] for name in names]
        self.cross_entropy = reconstruction == "cross_entropy"
        self.corruption = corruption
        self.levels = list(corruption_levels) * (len(hidden_sizes) if len(corruption_levels) == 1 else 1)
        self.target = target
        self.pretraining_epochs = pretraining_epochs
        sizes = [in_features, *hidden_sizes]
        self.encoders = nn.ModuleList(nn.Linear(m, n) for m, n in zip(sizes, sizes[1:], strict=False))
        for encoder, name in zip(self.encoders, names[1:], strict=True):
            nn.init.xavier_uniform_(encoder.weight, GAINS[name])
            nn.init.zeros_(encoder.bias)
        self.decoders = nn.ModuleList(Decoder(encoder, tied) for encoder in self.encoders)
        self.phase = len(self.layer_phases)  # the fine-tuning

    @property
    def example_input(self) -> Tensor:
        """Two items of the right size."""
        return torch.zeros(2, self.in_features)

    @property
    def layer_phases(self) -> list[Phase]:
        """One layer after the other, each alone; none if `pretraining_epochs` is 0."""
        pairs = list(zip(self.encoders, self.decoders, strict=True)) if self.pretraining_epochs else []
        return [Phase(f"layer {k}", pair, self.pretraining_epochs) for k, pair in enumerate(pairs, 1)]

    def flat(self, x: Tensor) -> Tensor:
        """h_0 (B, D) of x (B, ...). Raises ValueError if an item has not `in_features` numbers."""
        x = x.flatten(1)
        if x.shape[1] != self.in_features:
            raise ValueError(f"the autoencoder takes items of {self.in_features} numbers, got {x.shape[1]}")
        return x

    def encode(self, x: Tensor, layers: int | None = None) -> Tensor:
        """The code h_k (B, H) of x (B, ...), k = `layers`, by default all."""
        h = self.flat(x)
        for encoder, g in zip(self.encoders[:layers], self.activations[1:], strict=False):
            h = g(encoder(h))
        return h

    def decode(self, h: Tensor, layers: int | None = None) -> Tensor:
        """The reconstruction (B, D) from a code (B, H) of layer `layers`, by default the last."""
        start = len(self.encoders) if layers is None else layers
        return self.activations[0](self.back(h, start, 0))

    def back(self, h: Tensor, start: int, end: int) -> Tensor:
        """From h_start (B, H), start > end, down to r_end, before its activation."""
        for k in reversed(range(end + 1, start)):
            h = self.activations[k](self.decoders[k](h, self.encoders[k]))
        return self.decoders[end](h, self.encoders[end])

    def distance(self, z: Tensor, wanted: Tensor, k: int) -> Tensor:
        """What r_k = f(z) (B, D) lacks to what it should be: squared error or nats, summed over D, mean over B."""
        z, wanted = (t.to(torch.promote_types(t.dtype, torch.float32)) for t in (z, wanted))  # bf16 cannot add so many
        if self.cross_entropy:
            total = F.binary_cross_entropy_with_logits(z, wanted, reduction="sum")
        else:
            total = (self.activations[k](z) - wanted).square().sum()
        return total / len(wanted)

    def layer_loss(self, x: Tensor, k: int) -> dict[str, Tensor]:
        """The loss of layer k + 1, with the layers before it frozen.

        `loss`: in nats or squared error per item, of its input (target=code) or through the frozen decoders of x; in
        training, its input is corrupted. In eval mode also `squared_error`.
        """
        with torch.no_grad():
            h = self.encode(x, k)  # (B, D) of this layer
        damaged = corrupt(h, self.corruption, self.levels[k]) if self.training else h
        code = self.activations[k + 1](self.encoders[k](damaged))  # (B, H)
        end = k if self.target == "code" else 0
        loss = self.distance(self.back(code, k + 1, end), h if end == k else self.flat(x), end)
        return self.judged(loss, x, k + 1)

    def judged(self, loss: Tensor, x: Tensor, layers: int) -> dict[str, Tensor]:
        """In eval mode with the squared error of x through the first layers: summed over D, mean over B."""
        if self.training:
            return {"loss": loss}
        error = self.decode(self.encode(x, layers), layers).float() - self.flat(x)  # (B, D)
        return {"loss": loss, "squared_error": error.square().sum() / len(x)}

    def check(self, x: Tensor) -> None:
        """Whether items x (N, ...) can be reconstructed: cross-entropy needs probabilities. Raises ValueError."""
        low, high = float(x.min()), float(x.max())
        if self.cross_entropy and len(self.decoders) and (low < 0 or high > 1):
            raise ValueError(
                f"reconstruction=cross_entropy needs numbers in [0, 1], got {low:.4g} to {high:.4g}; of pictures "
                f"data.standardise=false"
            )


@register("autoencoder")
class Autoencoder(Stack):
    """D - H_1 - ... - H_L - ... - H_1 - D, trained layer by layer and then as a whole.

    in_features: D, size of an item when flattened.
    hidden_sizes: H_1 ... H_L; the last is that of the code.
    activation: of the hidden layers, sigmoid | tanh | relu | linear; with everything linear it can do what PCA does.
    code_activation: of the code, likewise.
    output_activation: of the reconstruction, likewise.
    tied: whether a decoder uses the transpose of its encoder's weight.
    reconstruction: squared_error | cross_entropy, what the loss is.
    corruption: none | masking | salt_and_pepper | gaussian, of each layer's input while the layer is trained alone;
        without pre-training, of the input.
    corruption_levels: one number, or one per layer; what they mean says `corrupt`.
    target: what an inner layer has to reconstruct: code, its own input | input, x through the frozen decoders.
    pretraining_epochs: of each layer; 0: all layers at once from the random start. What remains of trainer.max_epochs
        is fine-tuning.
    """

    @property
    def code_size(self) -> int:
        """Numbers of a code."""
        return self.encoders[-1].out_features

    @property
    def phases(self) -> list[Phase]:
        """Each layer alone, then all of them."""
        return [*self.layer_phases, Phase("fine-tuning", (self.encoders, self.decoders))]

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruction (B, D) of x (B, ...)."""
        return self.decode(self.encode(x))

    @torch.no_grad()
    def reconstruct(self, picture: Any) -> Tensor:
        """What is left of a picture (h, w) in [0, 1], of its path or whatever `zoo.items` takes; in eval mode."""
        (x,) = self.inputs([picture])
        r = self(x).view(x.shape)[0].movedim(0, -1).cpu()
        mean, std = (torch.tensor(self.transform[key]) for key in ("mean", "std"))
        return (r * std + mean).clamp(0, 1).squeeze(-1)

    def loss(self, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Of the present phase, per item; the targets are not looked at. In eval mode also `squared_error`."""
        x = batch[0]
        if self.phase < len(self.layer_phases):
            return self.layer_loss(x, self.phase)
        h, layers = self.flat(x), len(self.encoders)
        if self.training and not self.pretraining_epochs:
            h = corrupt(h, self.corruption, self.levels[0])
        loss = self.distance(self.back(self.encode(h), layers, 0), self.flat(x), 0)
        return self.judged(loss, x, layers)
