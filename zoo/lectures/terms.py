"""Arithmetic as it stands on a board: an expression knows its value and keeps what it was made from.

    w, x = leaf("w1", 0.5), leaf("x", 2)
    z = sigmoid(w * x)
    z.value       0.7311

writing.py writes it: sigmoid(w1 x), sigmoid(0.5*2), and both in LaTeX. One Python expression gives all of this, so that
what is written is what was computed. Values are float64: numbers, vectors and matrices. `*` goes entry by entry, `@` is
the product of matrices.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Term:
    """An operation and the terms that it takes; a leaf takes none."""

    value: Tensor
    operation: str  # an operator, or the name of a function
    parts: tuple["Term", ...] = ()
    name: str = ""  # of a leaf

    def __add__(self, other: "Term | float") -> "Term":
        """Entry by entry."""
        return Term(self.value + term(other).value, "+", (self, term(other)))

    def __sub__(self, other: "Term | float") -> "Term":
        """Entry by entry."""
        return Term(self.value - term(other).value, "-", (self, term(other)))

    def __rsub__(self, other: float) -> "Term":
        """As in 1 - y."""
        return term(other) - self

    def __mul__(self, other: "Term | float") -> "Term":
        """Entry by entry."""
        return Term(self.value * term(other).value, "*", (self, term(other)))

    def __truediv__(self, other: "Term | float") -> "Term":
        """Entry by entry."""
        return Term(self.value / term(other).value, "/", (self, term(other)))

    def __matmul__(self, other: "Term") -> "Term":
        """The product of matrices; of two vectors, the sum of the products."""
        return Term(self.value @ other.value, "@", (self, other))

    def __pow__(self, exponent: int) -> "Term":
        """Entry by entry."""
        return Term(self.value**exponent, "^", (self, term(exponent)))

    def __neg__(self) -> "Term":
        """Entry by entry."""
        return Term(-self.value, "negative", (self,))

    @property
    def T(self) -> "Term":  # named as in PyTorch
        """Rows become columns."""
        return Term(self.value.T, "transpose", (self,))


def leaf(name: str, value: Tensor | float | list) -> Term:
    """A value with a name, such as w1, W_Q, h_2 or dJ/dw1."""
    return Term(torch.as_tensor(value, dtype=torch.float64), "name", name=name)


def term(value: Term | float) -> Term:
    """A number in a formula stands there as it is."""
    return value if isinstance(value, Term) else Term(torch.tensor(value, dtype=torch.float64), "number")


HALF = Term(torch.tensor(0.5, dtype=torch.float64), "half")


def sigmoid(x: Term) -> Term:
    """1 / (1 + e^-x)."""
    return Term(1 / (1 + torch.exp(-x.value)), "sigmoid", (x,))


def tanh(x: Term) -> Term:
    """(e^x - e^-x) / (e^x + e^-x)."""
    return Term(torch.tanh(x.value), "tanh", (x,))


def softmax(x: Term) -> Term:
    """e^x over the sum of them, of a vector or of each row of a matrix."""
    powers = torch.exp(x.value)
    return Term(powers / powers.sum(-1, keepdim=True), "softmax", (x,))


def log(x: Term) -> Term:
    """The natural logarithm."""
    return Term(torch.log(x.value), "log", (x,))


def sqrt(x: Term) -> Term:
    """The square root."""
    return Term(torch.sqrt(x.value), "sqrt", (x,))


def above(x: Term, threshold: float) -> Term:
    """Heaviside's step: 1 where x > threshold, else 0; written [x > 0.5]."""
    return Term((x.value > threshold).double(), "above", (x, term(threshold)))


def total(x: Term) -> Term:
    """The sum of all entries; of a vector's, and of a product of two, every summand is written."""
    return Term(x.value.sum(), "total", (x,))


def row_sums(x: Term) -> Term:
    """The sum of each row, as a column."""
    return Term(x.value.sum(-1, keepdim=True), "rowsums", (x,))


def outer(x: Term, y: Term) -> Term:
    """The matrix of all products of an entry of x with one of y: x y^T of two columns."""
    return Term(torch.outer(x.value, y.value), "outer", (x, y))


def entry(x: Term, i: int) -> Term:
    """The i-th entry of a vector, counted from 0 here and from 1 where it is written."""
    return Term(x.value[i], "entry", (x, term(i + 1)))


def joined(*parts: Term) -> Term:
    """Numbers as one vector: [h, x]."""
    return Term(torch.stack([part.value for part in parts]), "joined", parts)


def worked(x: Term) -> Term:
    """The same; where numbers are put in, what it comes to."""
    return Term(x.value, "worked", (x,))


def conv(x: Term, w: Term) -> Term:
    """w slid over x, multiplied and added: what networks call a convolution."""
    return Term(slid(x.value, w.value), "conv", (x, w))


def window(x: Term, w: Term, row: int, column: int) -> Term:
    """One output of conv(x, w), with every product; rows and columns are counted from 0."""
    height, width = w.value.shape
    patch = leaf("", x.value[row : row + height, column : column + width])
    place = leaf("", [float(row), float(column)])
    return Term((patch.value * w.value).sum(), "window", (x, w, patch, place))


def padded(x: Term, zeros: int) -> Term:
    """With that many rows and columns of zeros around."""
    return Term(torch.nn.functional.pad(x.value, (zeros,) * 4), "pad", (x,))


def flipped(x: Term) -> Term:
    """Upside down and left to right."""
    return Term(x.value.flip(0, 1), "flip", (x,))


def slid(x: Tensor, w: Tensor) -> Tensor:
    """The sum of products at each place."""
    height, width = w.shape
    rows, columns = x.shape[0] - height + 1, x.shape[1] - width + 1
    places = [[(x[i : i + height, j : j + width] * w).sum() for j in range(columns)] for i in range(rows)]
    return torch.stack([torch.stack(row) for row in places])
