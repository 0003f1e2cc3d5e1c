"""Recurrent layers: vanilla RNN, identity RNN, LSTM and GRU, to be read (`Cells`) and to be fast (PyTorch's kernels).

The three updates, with x_t the input, h the hidden state, c the cell state, s the sigmoid, * element by element:

rnn   Bombay I27; Elman 1990
      h_t = g(Wx x_t + Wh h_(t-1) + b)
irnn  Shanghai S37; Le et al. 2015: the same with g = relu, and Wh = identity, b = 0 at the start
lstm  Barcelona R17, Prague C61; Hochreiter & Schmidhuber 1997, its forget gate f: Gers et al. 2000
      i, f, o = s(W [x_t, h_(t-1)] + b) each;  u = tanh(W [x_t, h_(t-1)] + b)
      c_t = f * c_(t-1) + i * u;  h_t = o * tanh(c_t)
gru   Barcelona R18; Cho et al. 2014
      r, z = s(W [x_t, h_(t-1)] + b) each;  n = tanh(Wx x_t + bx + r * (Wh h_(t-1) + bh))
      h_t = (1 - z) * n + z * h_(t-1)

The GRU resets after the product with Wh, as PyTorch and cuDNN do; the paper resets h before it. On a GPU, dropout
between fused layers is drawn by cuDNN from a state of its own: there a continued run of several layers is not the same
to the bit.

Shapes: B batch, T time, D input, H hidden, L layers, G gates (1 rnn and irnn, 4 lstm, 3 gru).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

GATES = {"rnn": 1, "irnn": 1, "lstm": 4, "gru": 3}
NONLINEARITIES = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid}

State = tuple[Tensor, ...]  # (h,) or, for the LSTM, (h, c); each (L, B, H), twice L if bidirectional


def rnn_step(x: Tensor, state: State, w: dict[str, Tensor], nonlinearity: str) -> tuple[State, State]:
    """One step of a vanilla RNN: x (B, D), state of tensors (B, H); gives the new state and no gates."""
    (h,) = state
    z = F.linear(x, w["weight_ih"], w["bias_ih"]) + F.linear(h, w["weight_hh"], w["bias_hh"])  # (B, H)
    return (NONLINEARITIES[nonlinearity](z),), ()


def lstm_step(x: Tensor, state: State, w: dict[str, Tensor], nonlinearity: str) -> tuple[State, State]:
    """One step of an LSTM; the gates are (input, forget, output), each (B, H) in (0, 1)."""
    h, c = state
    z = F.linear(x, w["weight_ih"], w["bias_ih"]) + F.linear(h, w["weight_hh"], w["bias_hh"])  # (B, 4H)
    i, f, u, o = z.chunk(4, dim=1)
    i, f, o = torch.sigmoid(i), torch.sigmoid(f), torch.sigmoid(o)
    c = f * c + i * torch.tanh(u)  # a sum: what is kept is not multiplied by a matrix (R15)
    return (o * torch.tanh(c), c), (i, f, o)


def gru_step(x: Tensor, state: State, w: dict[str, Tensor], nonlinearity: str) -> tuple[State, State]:
    """One step of a GRU; the gates are (reset, update), each (B, H) in (0, 1)."""
    (h,) = state
    xr, xz, xn = F.linear(x, w["weight_ih"], w["bias_ih"]).chunk(3, dim=1)  # (B, H) each
    hr, hz, hn = F.linear(h, w["weight_hh"], w["bias_hh"]).chunk(3, dim=1)
    r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
    n = torch.tanh(xn + r * hn)
    return ((1 - z) * n + z * h,), (r, z)


STEPS = {"rnn": rnn_step, "irnn": rnn_step, "lstm": lstm_step, "gru": gru_step}
GATE_NAMES = {"rnn": (), "irnn": (), "lstm": ("input", "forget", "output"), "gru": ("reset", "update")}


class Cells(nn.Module):
    """The readable implementation: a loop over time around the steps above.

    Parameters have the names, shapes and order of gates of nn.RNN, nn.LSTM and nn.GRU, so either loads the other's.
    second_bias: False leaves out bias_hh, which adds to bias_ih and can learn nothing that bias_ih cannot (rnn, lstm).
    """

    def __init__(
        self, cell: str, input_size: int, hidden_size: int, num_layers: int, dropout: float, bidirectional: bool,
        nonlinearity: str, second_bias: bool,
    ):  # fmt: skip
        super().__init__()
        self.cell, self.hidden_size, self.num_layers, self.dropout = cell, hidden_size, num_layers, dropout
        self.bidirectional, self.directions = bidirectional, 2 if bidirectional else 1
        self.nonlinearity = nonlinearity
        rows = GATES[cell] * hidden_size
        for layer in range(num_layers):
            width = input_size if layer == 0 else hidden_size * self.directions
            for suffix in ("", "_reverse")[: self.directions]:
                shapes = {"weight_ih": (rows, width), "weight_hh": (rows, hidden_size), "bias_ih": (rows,)}
                if second_bias:
                    shapes["bias_hh"] = (rows,)
                for name, shape in shapes.items():
                    start = torch.empty(shape).uniform_(-(hidden_size**-0.5), hidden_size**-0.5)  # as PyTorch
                    self.register_parameter(f"{name}_l{layer}{suffix}", nn.Parameter(start))

    def weights(self, layer: int, suffix: str) -> dict[str, Tensor]:
        """The parameters of one layer and direction, by name."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return {name: getattr(self, f"{name}_l{layer}{suffix}", None) for name in names}

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Outputs (B, T, H or 2H) of the last layer and the state after the last step, for x (B, T, D)."""
        outputs, state, _ = self.trace(x, state)
        return outputs, state

    def trace(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State, list[dict[str, Tensor]]]:
        """The same, and of each layer (forward direction) `h`, for the LSTM `c`, and the gates: (B, T, H) each."""
        if isinstance(x, PackedSequence):
            raise ValueError("reading from both ends needs implementation=fused")
        count = 2 if self.cell == "lstm" else 1
        if state is None:
            zeros = x.new_zeros(self.num_layers * self.directions, len(x), self.hidden_size)
            state = (zeros,) * count
        step, ends, traces = STEPS[self.cell], [], []
        for layer in range(self.num_layers):
            both = []
            for direction, suffix in enumerate(("", "_reverse")[: self.directions]):
                w = self.weights(layer, suffix)
                now = tuple(s[layer * self.directions + direction] for s in state)  # (B, H) each
                history = []
                for x_t in x.unbind(1) if direction == 0 else reversed(x.unbind(1)):  # (B, D)
                    now, gates = step(x_t, now, w, self.nonlinearity)
                    history.append((*now, *gates))
                if direction:
                    history.reverse()
                ends.append(now)
                columns = [torch.stack(column, 1) for column in zip(*history, strict=True)]  # (B, T, H) each
                both.append(columns[0])
                if direction == 0:
                    names = ("h", "c")[:count] + GATE_NAMES[self.cell]
                    traces.append(dict(zip(names, columns, strict=True)))
            x = torch.cat(both, 2)
            if self.dropout and layer + 1 < self.num_layers:
                x = F.dropout(x, self.dropout, self.training)
        return x, tuple(torch.stack(parts) for parts in zip(*ends, strict=True)), traces


def recurrent_layers(
    cell: str,
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    dropout: float = 0.0,
    bidirectional: bool = False,
    nonlinearity: str = "tanh",
    implementation: str = "fused",
    second_bias: bool = True,
    forget_bias: float = 1.0,
) -> nn.Module:
    """A module that maps x (B, T, D) and a state to outputs (B, T, H) and the next state, as nn.LSTM does.

    cell: rnn | irnn | gru | lstm. nonlinearity: tanh | relu | sigmoid, of the rnn.
    dropout: probability between the layers, in [0, 1).
    implementation: fused (PyTorch's kernels) | reference (`Cells`).
    forget_bias: where the LSTM's forget gates start; at PyTorch's 0 they halve the memory with every step (R15).
    Raises ValueError.
    """
    for name, value, valid in (
        ("cell", cell, tuple(GATES)),
        ("nonlinearity", nonlinearity, tuple(NONLINEARITIES)),
        ("implementation", implementation, ("fused", "reference")),
    ):
        if value not in valid:
            raise ValueError(f"{name} must be one of {', '.join(valid)}, got {value!r}")
    for name, value in (("hidden_size", hidden_size), ("num_layers", num_layers)):
        if value < 1:
            raise ValueError(f"{name} must be >= 1, got {value}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must lie in [0, 1), got {dropout}")
    if not math.isfinite(forget_bias):
        raise ValueError(f"forget_bias must be a finite number, got {forget_bias}")
    if nonlinearity != "tanh" and cell != "rnn":
        raise ValueError(f"nonlinearity={nonlinearity} is for cell=rnn; cell={cell} has its own")
    if cell == "irnn":
        nonlinearity = "relu"
    layers: nn.Module
    if implementation == "reference":
        layers = Cells(cell, input_size, hidden_size, num_layers, dropout, bidirectional, nonlinearity, second_bias)
    elif nonlinearity == "sigmoid" or not second_bias:
        raise ValueError("nonlinearity=sigmoid and variant=lecture need implementation=reference")
    else:
        between = dropout if num_layers > 1 else 0.0  # PyTorch warns where there is no between
        shared = (input_size, hidden_size, num_layers, True, True, between, bidirectional)
        if cell == "lstm":
            layers = nn.LSTM(*shared)
        elif cell == "gru":
            layers = nn.GRU(*shared)
        else:
            layers = nn.RNN(input_size, hidden_size, num_layers, nonlinearity, True, True, between, bidirectional)
    with torch.no_grad():
        for name, parameter in layers.named_parameters():
            if cell == "irnn" and name.startswith("weight_hh"):
                nn.init.eye_(parameter)
            elif cell == "irnn" and name.startswith("bias"):
                parameter.zero_()
            elif cell == "irnn":
                parameter.normal_(std=0.001)  # Le et al. 2015, section 4.1
            elif cell == "lstm" and name.startswith("bias"):
                parameter[hidden_size : 2 * hidden_size] = forget_bias if name.startswith("bias_ih") else 0.0
    return layers


def unroll(layers: nn.Module, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
    """Outputs (B, T, H) and the state after the last step, always as a tuple; nn.RNN and nn.GRU take a bare tensor."""
    if isinstance(layers, (nn.RNN, nn.GRU)):
        outputs, h = layers(x, None if state is None else state[0])
        return outputs, (h,)
    return layers(x, state)


def readable(layers: nn.Module) -> Cells:
    """The same layers as `Cells`, which can be traced; the parameters are shared."""
    if isinstance(layers, Cells):
        return layers
    cell = {"RNN_TANH": "rnn", "RNN_RELU": "rnn", "LSTM": "lstm", "GRU": "gru"}[layers.mode]
    nonlinearity = "relu" if layers.mode == "RNN_RELU" else "tanh"
    with torch.device("meta"):  # every parameter is replaced: none need be drawn
        cells = Cells(
            cell, layers.input_size, layers.hidden_size, layers.num_layers, layers.dropout, layers.bidirectional,
            nonlinearity, True,
        )  # fmt: skip
    for name, parameter in layers.named_parameters():
        setattr(cells, name, parameter)
    return cells.train(layers.training)
