"""What each torch function computes, for zoo/inspector.py: sizes, multiplications, parameters, windows."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import Tensor


def tensors(value: Any) -> list[Tensor]:
    """All tensors in a value, also in lists and dictionaries."""
    value = list(value.values()) if isinstance(value, dict) else value
    if isinstance(value, (list, tuple)):
        return [tensor for part in value for tensor in tensors(part)]
    return [value] if isinstance(value, Tensor) else []


def size_of(x: Tensor) -> str:
    """Of the one item: 6x28x28. The batch need not come first, and where sequences are packed there is none."""
    batch = x.shape.index(1) if 1 in x.shape else x.dim()
    return "x".join(map(str, x.shape[:batch] + x.shape[batch + 1 :])) or "1"


def product_of(factors: Sequence[int]) -> str:
    """6 * 28 * 28, without the batch and other ones."""
    return " * ".join(f"{n:,}" for n in factors if n != 1) or "1"


# --- what each function computes: its name, output and arguments are given ----------------------------------------


class Sums(NamedTuple):
    """What is worked out for one call."""

    macs: Sequence[int] = ()  # factors of their number
    size: str = ""
    count: str = ""  # of the parameters, without the result, where it says more than their shapes
    windows: tuple[Sequence[int], Sequence[int]] = ((), ())  # what they span, and their stride, along each side
    mixes: bool = False  # whether each output sees all places
    bias: Tensor | None = None  # what is only added, whatever its name


def windowed(dims: int, output: Any, input: Tensor, kernel: Any, stride: Any, padding: Any, dilation: Any) -> Sums:
    """Windows over the last `dims` dimensions; of each setting PyTorch takes one value for all, or one for each."""
    settings = (kernel, stride, {"valid": 0, "same": -1}[padding] if isinstance(padding, str) else padding, dilation)
    sides = [[n] * dims if isinstance(n, int) else [*n] * (dims // len(n)) for n in settings]
    formulas, spans = [], []
    for w, n, k, s, p, d in zip(input.shape[-dims:], tensors(output)[0].shape[-dims:], *sides, strict=True):
        span, window = d * (k - 1) + 1, str(k) if d == 1 else f"({d}*({k} - 1) + 1)"
        p = (span - 1) / 2 if p < 0 else p
        exact = (w + 2 * p - span) / s + 1
        rounded = f"{n:,}" if exact == n else f"{round(exact, 2):,} -> {n:,}"
        formulas.append(f"({w:,} + 2*{p:g} - {window}) / {s} + 1 = {rounded}")
        spans.append(span)
    return Sums(size="; ".join(dict.fromkeys(formulas)), windows=(spans, sides[1]))  # equal sides are shown once


def convolution(
    _: str, output: Tensor, input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1,
    padding: Any = 0, dilation: Any = 1, groups: int = 1,
) -> Sums:  # fmt: skip
    """Each output is a sum over a window in the maps of its group."""
    maps, inputs, *kernel = weight.shape
    count = f"{groups} * ({maps // groups:,} * {window_of(weight)})" + ("" if bias is None else f" + {maps:,}")
    sums = windowed(len(kernel), output, input, kernel, stride, padding, dilation)
    return sums._replace(macs=(*output.shape, inputs, *kernel), count=count if groups > 1 else "", bias=bias)


def pool(
    name: str, output: Any, input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    *_: Any, **__: Any,
) -> Sums:  # fmt: skip
    """Windows without parameters; PyTorch's avg_pool has another argument in the place of the dilation."""
    dilation = dilation if name.startswith("max") else 1
    return windowed(int(name[-2]), output, input, kernel_size, stride or kernel_size, padding, dilation)


def adaptive_pool(name: str, output: Any, input: Tensor, *_: Any, **__: Any) -> Sums:
    """W inputs to n outputs: windows of W / n side by side; where that is no whole number, of several widths."""
    dims = int(name[-2])
    sides = list(zip(input.shape[-dims:], tensors(output)[0].shape[-dims:], strict=True))
    if all(w % n == 0 for w, n in sides):
        return pool(name, output, input, [w // n for w, n in sides])
    widest = [max(-(-(i + 1) * w // n) - i * w // n for i in range(n)) for w, n in sides]
    return Sums(windows=(widest, [max(1, w // n) for w, n in sides]))


def product(_: str, output: Tensor, a: Tensor, b: Tensor, bias: Tensor | None = None) -> Sums:
    """Of matrices: each output is a sum over a row of `a`."""
    return Sums((*output.shape, a.shape[-1]), mixes=a.dim() == 2 or b.dim() > 2, bias=bias)


def einsum(_: str, output: Tensor, equation: str, *operands: Any) -> Sums:
    """Each output is a sum over the letters that it lacks; dots, which it has, are taken to come first."""
    given, arrow, kept = equation.replace(" ", "").replace(".", "").partition("->")
    pairs = zip(given.split(","), tensors(operands), strict=True)
    sizes = {letter: n for letters, x in pairs for letter, n in zip(letters[::-1], x.shape[::-1], strict=False)}
    lacks = [n for letter, n in sizes.items() if (letter not in kept if arrow else given.count(letter) > 1)]
    first = given.partition(",")[0]
    return Sums((*output.shape, *lacks), mixes=not arrow or first[-1] not in kept)  # a place that is kept sees itself


def unfold(
    _: str, output: Tensor, input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Sums:
    """The windows of pictures (B, C, h, w), one in a column; Tensor.unfold, which cuts along one side, is none."""
    if input.dim() != 4 or output.dim() != 3:
        return Sums()
    k, d, s = ([n] * 2 if isinstance(n, int) else [*n] for n in (kernel_size, dilation, stride))
    return Sums(windows=([b * (a - 1) + 1 for a, b in zip(k, d, strict=True)], s))


def attention(_: str, output: Tensor, query: Tensor, key: Tensor, value: Tensor, *__: Any, **___: Any) -> Sums:
    """Of each query with each key, a sum over their coordinates; then the sum of the values."""
    return Sums((*query.shape[:-1], key.shape[-2], query.shape[-1] + value.shape[-1]), mixes=True)


GATES = {"rnn_tanh": 1, "rnn_relu": 1, "gru": 3, "lstm": 4}


def recurrent(name: str, output: Any, input: Tensor, *rest: Any) -> Sums:
    """At each step each gate is a sum over input and state; cells take their weights one by one, layers in a list."""
    listed = [part for part in rest if isinstance(part, (list, tuple))]
    weights = tensors(rest[1:] if name.endswith("_cell") else listed[-1])
    matrices = [weight for weight in weights if weight.dim() == 2]
    gates = GATES[name.removesuffix("_cell")]
    hidden, biases = len(matrices[0]) // gates, (len(weights) - len(matrices)) // (len(matrices) // 2)
    added = f" + {biases} * {hidden:,}" if biases else ""
    terms = [f"{gates} * ({hidden:,} * ({into.shape[1]:,} + {hidden:,}){added})" for into in matrices[::2]]
    is_projected = matrices[1].shape[1] != hidden  # the state is shorter: the shapes have to do
    macs = (input[..., 0].numel(), sum(matrix.numel() for matrix in matrices))
    return Sums(macs, count="" if is_projected else " + ".join(terms), mixes=True)


def uncounted(*_: Any, **__: Any) -> Sums:
    """A layer that looks up, or goes number by number."""
    return Sums()


def window_of(weight: Tensor) -> str:
    """(maps * side*side) of a kernel."""
    return f"({weight.shape[1]:,} * {'*'.join(map(str, weight.shape[2:]))})"


SUMS: dict[str, Callable[..., Sums]] = {
    **dict.fromkeys(("linear", "matmul", "mm", "bmm"), product), "einsum": einsum, "unfold": unfold,
    "addmm": lambda name, output, bias, a, b, **_: product(name, output, a, b, bias),
    "scaled_dot_product_attention": attention,
    **{f"conv{d}d": convolution for d in (1, 2, 3)},
    **{f"{kind}_pool{d}d": pool for kind in ("max", "avg") for d in (1, 2, 3)},
    **{f"adaptive_{kind}_pool{d}d": adaptive_pool for kind in ("max", "avg") for d in (1, 2, 3)},
    **{name + end: recurrent for name in GATES for end in ("", "_cell")},
    **{f"{kind}_norm": uncounted for kind in ("batch", "layer", "group", "instance", "rms", "local_response")},
    "embedding": uncounted, "embedding_bag": uncounted,
}  # fmt: skip
BY_NUMBER = ("add", "sub", "mul", "div", "truediv", "radd", "rsub", "rmul", "getitem", "prelu", "where", "cat", "stack")
REDUCTIONS = ("mean", "sum", "max", "min", "amax", "amin", "logsumexp")
