"""Networks for other programs: as ONNX, as TorchScript, or their weights as JSON.

onnx         One file of opset 20, weights and all; `zoo` of its metadata_props is the card, in JSON. Its input is `x`,
             its output `logits`, or an autoencoder's `reconstruction`, or the `number` that a network tells.
torchscript  One file for torch.jit.load, or libtorch in C++; its extra file zoo.json is the card.
json         {"format": 1, "model", "arguments", "card", "weights": {name: {"shape": [...], "data": [...]}}} in UTF-8;
             data is flat, the last dimension runs fastest, and its numbers read back to the same float32.

A graph is that of `forward` in eval mode on a CPU, of x alone: the sequences of a batch are equally long. The number of
items is free, and the length of sequences, up to a Transformer's context; all other sizes are fixed. A network that
was not loaded has no card: {}, and model and arguments are null.

Shapes: B batch, T time, D input, H hidden, L layers, N directions, G gates.
"""

import copy
import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo.checkpoint import write_whole
from zoo.errors import ConfigError, NumericError
from zoo.models.attention import MultiHeadAttention
from zoo.models.autoencoder import Autoencoder
from zoo.models.recurrent import Cells, State, readable, recurrent_layers
from zoo.models.sequences import SequenceModel
from zoo.models.word_vectors import WordVectors
from zoo.registry import nearest

FORMAT = 1  # of the JSON
OPSET = 20
# ONNX's operator for a cell, and how it orders the gates: z r n of our r z n, and i o f u of our i f u o.
OPERATORS = {"rnn": ("RNN", [0]), "irnn": ("RNN", [0]), "gru": ("GRU", [1, 0, 2]), "lstm": ("LSTM", [0, 3, 1, 2])}
OPERANDS = {"W": ["weight_ih"], "R": ["weight_hh"], "B": ["bias_ih", "bias_hh"]}  # ONNX's names, and ours
DIGITS = ".9g"  # nine: also by way of float64 it is the same float32


def export(network: nn.Module, path: Path, to: str) -> Path:
    """Write a network as onnx | torchscript | json to `path`, whole or not at all; gives `path`.

    Raises ConfigError for any other `to`, for a network that has no such form, and where ONNX's packages are missing;
    NumericError for a number that JSON cannot say; OutputError.
    """
    forms = {"onnx": onnx_parts, "torchscript": torchscript_parts, "json": json_parts}
    if to not in forms:
        raise ConfigError(f"cannot export to {to!r}{nearest(to, forms)}; valid: {', '.join(forms)}")
    if to != "json" and hasattr(network, "translate"):
        raise ConfigError(f"{type(network).__name__} writes token by token, which is no one graph; export it to json")
    write_whole(path, *forms[to](network))
    return path


def json_parts(network: nn.Module) -> list[bytes]:
    """The JSON, cut into pieces. Raises NumericError."""
    card = getattr(network, "card", {})
    head = {"format": FORMAT, "model": card.get("model"), "arguments": card.get("arguments"), "card": card}
    parts = [in_json(head, "the card")[:-1] + ', "weights": {']
    for name, weight in network.state_dict().items():
        data = [float(format(number, DIGITS)) for number in weight.float().flatten().tolist()]
        comma = ", " if len(parts) > 1 else ""
        parts.append(f"{comma}{json.dumps(name)}: " + in_json({"shape": list(weight.shape), "data": data}, name))
    return [part.encode() for part in [*parts, "}}\n"]]


def in_json(value: Any, what: str) -> str:
    """A value in JSON. Raises NumericError for a number that is not finite, which JSON has no word for."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise NumericError(f"cannot export: {what} holds a number that is not finite, which JSON cannot say") from error


def torchscript_parts(network: nn.Module) -> list[bytes]:
    """The archive that torch.jit.load reads. Raises ConfigError."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        # torch would have us use torch.export, whose files only torch in Python reads.
        warnings.filterwarnings("ignore", "`torch.jit.(trace|trace_method|save)` is deprecated", DeprecationWarning)
        # Sizes are looked at only to refuse what does not fit; tests/test_export.py tries others than the example's.
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        graph = torch.jit.trace(to_be_traced(network, fused), example(network))
        torch.jit.save(graph, file, _extra_files={"zoo.json": card_in_json(network)})
    return [file.getvalue()]


def onnx_parts(network: nn.Module) -> list[bytes]:
    """The ONNX file. Raises ConfigError."""
    try:
        import onnx
        import onnxscript  # noqa: F401  (torch's exporter is written in it)
    except ImportError as error:
        raise ConfigError(f"to=onnx needs packages that are missing ({error}): pip install onnx onnxscript") from error
    x = example(network)
    sizes = {0: "batch", 1: "time"} if reads_sequence(network) and x.shape[1] > 1 else {0: "batch"}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)  # torch 2.13 uses what it has itself deprecated
        program = torch.onnx.export(
            to_be_traced(network, Operators), (x,), input_names=["x"], output_names=[output_name(network)],
            dynamic_shapes=(sizes,), opset_version=OPSET, dynamo=True, verbose=False,
        )  # fmt: skip
    model = program.model_proto
    for node in model.graph.node:
        node.ClearField("metadata_props")  # where on this machine the lines stand that it comes from
    onnx.helper.set_model_props(model, {"zoo": card_in_json(network)})
    return [model.SerializeToString()]


def card_in_json(network: nn.Module) -> str:
    """The card of a network that has one, else {}."""
    return in_json(getattr(network, "card", {}), "the card")


def output_name(network: nn.Module) -> str:
    """What the output of `forward` is called."""
    if isinstance(network, Autoencoder):
        return "reconstruction"
    return "number" if isinstance(network, SequenceModel) and not network.num_classes else "logits"


def reads_sequence(network: nn.Module) -> bool:
    """Whether the input is (B, T, ...)."""
    return isinstance(network, SequenceModel) or not network.example_input.is_floating_point()


def example(network: nn.Module) -> Tensor:
    """An input to trace; where the time is 1 but may be more, it is 2: a size of 1 would be taken for a fixed one."""
    x = network.example_input
    return x.repeat(1, 2) if isinstance(network, WordVectors) else x


# --- parts whose graph would be of the example's size only ---------------------------------------------------------


def to_be_traced(network: nn.Module, recurrent: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """A copy in eval mode on the CPU; `recurrent` gives what stands in for recurrent layers."""
    copied = copy.deepcopy(network).cpu().eval().requires_grad_(False)
    for name, module in list(copied.named_modules()):
        if isinstance(module, MultiHeadAttention):
            module.implementation = "reference"  # the fused kernel must be told what is not known yet: whether T = S
        elif isinstance(module, (nn.RNNBase, Cells)):
            copied.set_submodule(name, recurrent(module))
    return copied


def fused(layers: nn.Module) -> nn.Module:
    """Recurrent layers as PyTorch's kernels: of `Cells` a trace keeps the example's steps. Raises ConfigError."""
    if not isinstance(layers, Cells):
        return layers
    sizes = (layers.weight_ih_l0.shape[1], layers.hidden_size, layers.num_layers)
    nonlinearity = layers.nonlinearity if layers.cell == "rnn" else "tanh"
    if nonlinearity == "sigmoid":
        raise ConfigError("TorchScript has no recurrent layers with nonlinearity=sigmoid; export it to onnx or json")
    kernels = recurrent_layers(layers.cell, *sizes, bidirectional=layers.bidirectional, nonlinearity=nonlinearity)
    for parameter in kernels.requires_grad_(False).parameters():
        parameter.zero_()  # a second bias may be more than `layers` has
    kernels.load_state_dict(layers.state_dict(), strict=False)
    return kernels


class Operators(nn.Module):
    """Recurrent layers as ONNX's operators, without dropout; torch's exporter keeps the example's steps."""

    def __init__(self, layers: nn.Module):
        super().__init__()
        cells = self.cells = readable(layers)
        self.operator, order = OPERATORS[cells.cell]
        self.attributes = {"hidden_size": cells.hidden_size}
        if cells.bidirectional:
            self.attributes["direction"] = "bidirectional"
        if self.operator == "RNN":
            self.attributes["activations"] = [cells.nonlinearity.capitalize()] * cells.directions
        if self.operator == "GRU":
            self.attributes["linear_before_reset"] = 1
        for layer in range(cells.num_layers):
            sides = [cells.weights(layer, suffix) for suffix in ("", "_reverse")[: cells.directions]]
            for kind, names in OPERANDS.items():
                operand = torch.stack([torch.cat([reordered(w, name, order) for name in names]) for w in sides])
                self.register_buffer(f"{kind}{layer}", operand)

    def forward(self, x: Tensor, state: None = None) -> tuple[Tensor, State]:
        """Outputs (B, T, N H) of the last layer, and h (L N, B, H) after the last step, for x (B, T, D)."""
        x, ends = x.transpose(0, 1), []  # (T, B, D)
        for layer in range(self.cells.num_layers):
            operands = (x, *(getattr(self, f"{kind}{layer}") for kind in OPERANDS))
            end = (self.cells.directions, x.shape[1], self.cells.hidden_size)
            shapes = ((x.shape[0], *end), end)  # (T, N, B, H), (N, B, H)
            y, h = torch.onnx.ops.symbolic_multi_out(
                self.operator, operands, self.attributes, dtypes=(x.dtype,) * 2, shapes=shapes, version=OPSET
            )
            x = y.transpose(1, 2).flatten(2)  # (T, B, N H)
            ends.append(h)
        return x.transpose(0, 1), (torch.cat(ends),)


def reordered(weights: dict[str, Tensor | None], name: str, order: list[int]) -> Tensor:
    """A weight (G H, ...) with its gates as ONNX has them; a second bias that is not there is zero."""
    weight = torch.zeros_like(weights["bias_ih"]) if weights[name] is None else weights[name]
    return weight.unflatten(0, (len(order), -1))[order].flatten(0, 1)
