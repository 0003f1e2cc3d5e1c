"""The arithmetic of a network, with the numbers put in: sizes, parameters, multiplications, and how far a layer sees.

One item is sent through the network, every torch function that it calls is written down, and for each is worked out
what a lecturer works out on the board. Nothing is asked of the network but that it runs.

size             (W + 2P - K) / S + 1 outputs for W inputs, P zeros on each side, windows of K, stride S (Bombay I15)
parameters       each counted once, where it is first used; with biases and without, as lectures count either way
MACs             multiplications with addition, in convolutions and products of matrices, as PyTorch computes them: also
                 with the zeros of a kernel or a mask. What goes number by number is not counted
receptive field  side of the patch of the input that an output sees (Cyprus U30): r + (K - 1) j after a window of K over
                 numbers that see r and stand j pixels apart; its outputs stand S j apart
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from zoo.errors import short
from zoo.inspector_sums import BY_NUMBER, REDUCTIONS, SUMS, Sums, product_of, size_of, tensors, uncounted, window_of


@dataclasses.dataclass
class Layer:
    """One computing step. A formula that does not apply is empty."""

    name: str  # of the module; of a function called in its forward: the module, the function and what it uses
    kind: str  # the function: conv2d, max_pool2d, linear, lstm, ..., or add, mul, ... with a parameter
    input: str = ""  # size of one item, such as 1x28x28
    output: str = ""
    size_formula: str = ""
    parameters: int = 0
    count_formula: str = ""
    parameters_without_biases: int = 0
    macs: int = 0  # of all its uses, for one item
    macs_formula: str = ""  # of one use
    receptive_field: int | str | None = None  # 5; of oblong patches "5x3"; "all"; None where nothing lies in space
    bytes: int = 0  # of its parameters in float32
    times: int = 1  # how often it is used for one item, as in a loop over time
    note: str = ""


@dataclasses.dataclass
class Inspection:
    """What `inspect` has found; printed, it is a table. The numbers are sums over the layers."""

    network: str  # its class
    input: str  # size of one item
    layers: list[Layer]  # in the order of execution, then those that are not used
    parameters: int
    parameters_without_biases: int
    macs: int
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, which JSON can hold."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        """A table for people."""
        rows = [("layer", "kind", "output", "size", "parameters", "no biases", "sum", "MACs", "sees", "note")]
        rows.append(("input", "", self.input, "", "", "", "", "", "", ""))
        for layer in self.layers:
            counts = (layer.parameters, layer.parameters_without_biases) if layer.parameters else ("", "")
            row = (layer.name, layer.kind, layer.output, layer.size_formula, *counts, layer.count_formula)
            uses = [f"x {layer.times:,}"] if layer.times > 1 else []
            note = "; ".join([*uses, layer.note] if layer.note else uses)
            rows.append((*row, layer.macs or "", layer.receptive_field or "", note))
        counts = (self.parameters, self.parameters_without_biases)
        rows.append(("together", "", "", "", *counts, "", self.macs, "", ""))
        lines = [*aligned(rows), f"The parameters take {self.bytes:,} bytes in float32; MACs are for one item."]
        if any(layer.receptive_field for layer in self.layers):
            lines.append("sees: side, in pixels, of the patch of the input on which one output depends.")
        return "\n".join(lines)


def aligned(rows: Sequence[Sequence[str | int]]) -> list[str]:
    """Lines of a table under a row of titles; numbers stand to the right, columns without any entry are left out."""
    columns = []
    for column in zip(*rows, strict=True):
        cells = [f"{cell:,}" if isinstance(cell, int) else cell for cell in column]
        width, side = max(map(len, cells)), ">" if any(isinstance(cell, int) for cell in column) else "<"
        if any(cells[1:]):
            columns.append([f"{cell:{side}{width}}" for cell in cells])
    return ["  ".join(cells).rstrip() for cells in zip(*columns, strict=True)]


def inspect(network: nn.Module, input: Tensor | Sequence[int] | None = None) -> Inspection:
    """Send one item through the network, in eval mode, and work out what each step costs and sees.

    input: a batch, whose first item is taken; or the size of an item without the batch, such as (1, 28, 28); None: the
        network's own `example_input`.
    Nothing in the network is changed. Raises ValueError if it cannot take that input.
    """
    x = one_item(network, input)
    modes = {module: module.training for module in network.modules()}
    try:
        with torch.no_grad(), Recorder(network.eval()) as recorder:
            network(x)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ValueError(f"{type(network).__name__} cannot take an item of {size_of(x)}: {reason}") from error
    finally:
        for module, training in modes.items():
            module.training = training
    tally = Tally(network, x)
    for call in recorder.calls:
        tally.enter(*call)
    tally.enter_unused()
    layers = list(tally.layers.values())
    totals = ("parameters", "parameters_without_biases", "macs", "bytes")
    sums = {name: sum(getattr(layer, name) for layer in layers) for name in totals}
    assert sums["parameters"] == sum(parameter.numel() for parameter in network.parameters())
    return Inspection(type(network).__name__, size_of(x), layers, **sums)


def one_item(network: nn.Module, input: Tensor | Sequence[int] | None) -> Tensor:
    """A batch of one, where the network is. Raises ValueError."""
    example = getattr(network, "example_input", None)
    if input is None and example is None:
        raise ValueError(f"{type(network).__name__} has no example_input: give the size of an item, as (3, 224, 224)")
    if input is None:
        input = example
    elif not isinstance(input, Tensor):
        if not all(type(side) is int and side > 0 for side in input):
            raise ValueError(f"the size of an item must be whole numbers >= 1, got {short(tuple(input))}")
        value = torch.zeros(()) if example is None else example.flatten()[0]  # a legal number, where zero may be none
        input = value.expand(1, *input)
    if not input.dim() or not input.numel():
        raise ValueError(f"the input must be a batch of one item or more, got the shape {tuple(input.shape)}")
    return input[:1].to(next(network.parameters(), input).device)


class Recorder(TorchFunctionMode):
    """While entered, keeps all calls of torch functions, and with them their tensors: no two can have the same id."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.calls: list[tuple[str, str, tuple, dict[str, Any], Any]] = []  # path, function, arguments, output
        self.running: list[str] = [""]  # paths of the modules whose forward is under way, the innermost last
        self.paths: dict[nn.Module, list[str]] = {}
        self.hooks = contextlib.ExitStack()
        for path, module in network.named_modules(remove_duplicate=False):
            self.paths.setdefault(module, []).append(path)
        for module in self.paths:
            self.hooks.enter_context(module.register_forward_pre_hook(self.begin))
            self.hooks.enter_context(module.register_forward_hook(self.end))

    def __exit__(self, *error: object) -> None:
        """The hooks go, whatever has happened."""
        self.hooks.close()
        super().__exit__(*error)

    def begin(self, module: nn.Module, _: object) -> None:
        """One module at several paths, such as one pooling for two places, has the next path with every use."""
        paths = self.paths[module]
        self.running.append(paths.pop(0) if len(paths) > 1 else paths[0])

    def end(self, *_: object) -> None:
        """Back to the module that called."""
        self.running.pop()

    def __torch_function__(self, function: Callable, _: object, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Call it and write it down."""
        output = function(*args, **(kwargs or {}))
        name = getattr(function, "__name__", "").strip("_").removesuffix("_with_indices")
        self.calls.append((self.running[-1], name, args, kwargs or {}, output))
        return output


# --- layers from calls --------------------------------------------------------------------------------------------


class Field(NamedTuple):
    """What a number sees of the input: `size` pixels along each side; its neighbours stand `jump` pixels apart."""

    size: tuple[float, ...] = ()  # empty: nothing lies in space; infinite: all
    jump: tuple[int, ...] = ()

    def widened(self, sums: Sums) -> "Field":
        """What the outputs see."""
        spans, strides = sums.windows
        if self == ALL or not spans:
            return ALL if sums.mixes and self.size else self
        field = self if len(self.size) == len(spans) else Field((1,) * len(spans), (1,) * len(spans))
        size = (r + (k - 1) * j for r, k, j in zip(field.size, spans, field.jump, strict=True))
        return Field(tuple(size), tuple(j * s for j, s in zip(field.jump, strides, strict=True)))

    def shown(self) -> int | str | None:
        """As `Layer.receptive_field`."""
        if self == ALL or not self.size:
            return "all" if self.size else None
        return self.size[0] if len(set(self.size)) == 1 else "x".join(map(str, self.size))


ALL = Field((math.inf,))


class Tally:
    """The layers of a network, counted from its calls in the order of execution."""

    def __init__(self, network: nn.Module, x: Tensor):
        self.network, self.layers = network, {}
        self.unused = dict(network.named_parameters())  # so far
        self.made_of = {id(parameter): {name: parameter} for name, parameter in self.unused.items()}
        pixels = (1,) * (x.dim() - 2 if x.dim() > 3 else 0)
        self.fields = {id(x): Field(pixels, pixels)}  # of each tensor in which the input has a part

    def enter(self, path: str, function: str, args: tuple, kwargs: dict[str, Any], output: Any) -> None:
        """A call; most make no layer."""
        given, made = tensors((args, kwargs)), tensors(args[0] if function == "setitem" else output)
        used = {name: p for tensor in given for name, p in self.made_of.get(id(tensor), {}).items()}
        fed = [tensor for tensor in given if id(tensor) in self.fields]
        if not made or not (fed or function in SUMS):  # nothing but parameters and constants
            self.made_of |= {id(tensor): used for tensor in made if used}
            return
        sums = SUMS.get(function, uncounted)(function, output, *args, **kwargs)
        field = max((self.fields[id(tensor)] for tensor in fed), default=Field())
        dims = len(field.size)
        if function in REDUCTIONS and made[0].shape[-dims:] != fed[0].shape[-dims:]:
            sums = sums._replace(mixes=True)
        field = field.widened(sums)
        self.fields |= {id(tensor): field for tensor in made}
        key = (path, function, *used, size_of(given[0]), size_of(made[0]))
        if key not in self.layers:
            if function not in SUMS and not used.keys() & self.unused.keys():
                return
            layer = Layer(self.name(path, function, used), function, size_of((fed or given)[0]), size_of(made[0]))
            layer.size_formula, layer.times = sums.size, 0
            if sums.macs:
                layer.macs_formula = f"{product_of(sums.macs)} = {math.prod(sums.macs):,}"
            unknown = function not in SUMS and function not in BY_NUMBER
            biases = self.made_of.get(id(sums.bias), {}).keys()
            self.own(layer, used, sums.count, ["MACs not known"] if unknown else [], biases)
            self.layers[key] = layer
        layer = self.layers[key]
        layer.times += 1
        layer.macs += math.prod(sums.macs) if sums.macs else 0
        layer.receptive_field = field.shown()

    def enter_unused(self) -> None:
        """What forward did not come across, by module."""
        for path in dict.fromkeys(name.rpartition(".")[0] for name in self.unused):
            used = {name: p for name, p in self.unused.items() if name.rpartition(".")[0] == path}
            kind = type(self.network.get_submodule(path)).__name__.lower()
            self.layers[path] = Layer(path or type(self.network).__name__, kind, times=0)
            self.own(self.layers[path], used, "", ["not used by forward"])

    def name(self, path: str, function: str, used: dict[str, nn.Parameter]) -> str:
        """Of PyTorch's own modules the path; of others also what is called there, and with which parameter."""
        place = path or type(self.network).__name__
        if type(self.network.get_submodule(path)).__module__.startswith("torch.nn."):
            return place
        first = [f"({name.removeprefix(f'{path}.')})" for name in used][:1]
        return f"{place}: {function}{''.join(first)}"

    def own(
        self, layer: Layer, used: dict[str, nn.Parameter], count: str, notes: list[str], biases: Collection[str] = ()
    ) -> None:
        """Count its parameters, but those that another layer has counted; what is called bias is one."""
        mine = {name: self.unused.pop(name) for name in used if name in self.unused}
        shared = [name for name in used if name not in mine]
        layer.parameters = sum(p.numel() for p in mine.values())
        weights = [p for name, p in mine.items() if name not in biases and "bias" not in name.rpartition(".")[2]]
        layer.parameters_without_biases = sum(p.numel() for p in weights)
        layer.bytes = 4 * layer.parameters
        if mine:
            terms = count if count and not shared else " + ".join(count_of(p, layer.kind) for p in mine.values())
            layer.count_formula = f"{terms} = {layer.parameters:,}"
        layer.note = "; ".join([*notes, f"shares {', '.join(shared)}"] if shared else notes)


def count_of(parameter: Tensor, kind: str) -> str:
    """How many numbers it holds: 120; inputs * outputs; maps * (maps before * side*side)."""
    if parameter.dim() < 3 or parameter[0].numel() == 1:
        return product_of(parameter.shape[::-1] if kind == "linear" else parameter.shape)
    return f"{len(parameter):,} * {window_of(parameter)}"
