"""Terms written with names or with numbers, as text or as LaTeX.

Text may take several lines: a matrix has a line for each row, and stands beside its neighbours in a box.
"""

import re
from typing import NamedTuple

from torch import Tensor

from zoo.lectures.terms import Term, leaf

Box = list[str]  # lines of equal length; of a number, one

SUM, PRODUCT, ATOM = 1, 2, 3  # how strongly a term holds together; a part that is weaker than its place needs brackets
VALUES = ("name", "worked", "transpose", "entry", "joined", "pad", "flip")  # in numbers, written as what they come to


class Style(NamedTuple):
    """One of the ways to write a term."""

    latex: bool
    numbers: bool  # instead of names
    inline: bool = False  # a matrix in text: [1 0; 0 1] instead of a line for each row
    decimals: int = 4


def line(one: Term, style: Style) -> str:
    """A term in a style that needs no second line: names, LaTeX or inline."""
    return write(one, style)[0][0]


def write(one: Term, style: Style) -> tuple[Box, int]:
    """A term in a style, and how strongly what is written holds together."""
    parts, latex = one.parts, style.latex
    if one.operation == "number" or (style.numbers and one.operation in VALUES):
        return figures(one.value, style), ATOM
    match one.operation:
        case "name":
            return [named(one.name, latex)], ATOM
        case "half":
            return [r"\tfrac{1}{2}" if latex else "1/2"], ATOM
        case "worked":
            return write(parts[0], style)
        case "+" | "-":
            return sum_of(one, style), SUM
        case "@" if style.numbers and parts[0].value.dim() == parts[1].value.dim() == 1:
            return summands(parts, style)
        case "*" | "@" | "/":
            return product_of(one, style), PRODUCT
        case "negative":
            return beside("-", held(parts[0], PRODUCT, style)), SUM
        case "^":
            return beside(held(parts[0], ATOM, style), "^", figures(parts[1].value, style)), ATOM
        case "transpose":
            return beside(held(parts[0], ATOM, style), r"^\top" if latex else "^T"), ATOM
        case "entry":
            return beside(held(parts[0], ATOM, style), "[", figures(parts[1].value, style), "]"), ATOM
        case "joined":
            return beside("[", listed(parts, style), "]"), ATOM
        case "outer":
            columns = beside(held(parts[0], ATOM, style), r" \, " if latex else " ", held(parts[1], ATOM, style))
            return beside(columns, r"^\top" if latex else "^T"), PRODUCT
        case "above":
            return beside("[", write(parts[0], style)[0], " > ", figures(parts[1].value, style), "]"), ATOM
        case "total":
            return total_of(parts[0], style)
        case "window" if style.numbers:
            return summands((parts[2], parts[1]), style)
        case "window":
            return [window_of(one, latex)], PRODUCT
        case "sqrt" if latex:
            return beside(r"\sqrt{", write(parts[0], style)[0], "}"), ATOM
    known = {"sigmoid": r"\sigma", "tanh": r"\tanh", "log": r"\log"}
    function = known.get(one.operation, rf"\operatorname{{{one.operation}}}") if latex else one.operation
    return beside(function, bracketed(listed(parts, style), style)), ATOM


def listed(parts: tuple[Term, ...], style: Style) -> Box:
    """With commas between."""
    first, *others = (write(part, style)[0] for part in parts)
    return beside(first, *(beside(", ", box) for box in others))


def sum_of(one: Term, style: Style) -> Box:
    """a + b, a - b; to add -b is written as to subtract b."""
    left, _ = write(one.parts[0], style)
    right = held(one.parts[1], SUM if one.operation == "+" else PRODUCT, style)
    if right[0].startswith("-"):
        if one.operation == "+":
            return beside(left, " - ", [line[1:] for line in right])
        right = bracketed(right, style)
    return beside(left, f" {one.operation} ", right)


def product_of(one: Term, style: Style) -> Box:
    """a b of names, 2*3 of numbers; entry by entry, a * b."""
    first, second = one.parts
    if one.operation == "/" and style.latex and not first.value.dim():
        return beside(r"\frac{", write(first, style)[0], "}{", write(second, style)[0], "}")
    right = held(second, ATOM if one.operation == "/" else PRODUCT, style)
    if right[0].startswith("-"):
        right = bracketed(right, style)
    by_entry = one.operation == "*" and first.value.dim() and second.value.dim()
    if one.operation == "/":
        sign = " / "
    elif style.latex:
        sign = r" \odot " if by_entry else r" \cdot " if style.numbers and one.operation == "*" else r" \, "
    else:
        sign = " * " if by_entry else "*" if style.numbers and one.operation == "*" else " "
    return beside(held(first, PRODUCT, style), sign, right)


def total_of(inside: Term, style: Style) -> tuple[Box, int]:
    """The summands, where they stand in a row; else a sign of summation."""
    if style.numbers and inside.value.dim() == 1:
        products = inside.operation == "*" and all(part.value.dim() == 1 for part in inside.parts)
        return summands(inside.parts if products else (inside,), style)
    if style.latex:
        return beside(r"\sum ", held(inside, PRODUCT, style)), PRODUCT
    return beside("sum", bracketed(write(inside, style)[0], style)), ATOM


def summands(factors: tuple[Term, ...], style: Style) -> tuple[Box, int]:
    """a1 b1 + a2 b2 + ..., with the numbers of two vectors; of one vector, a1 + a2 + ..."""
    products = []
    for numbers in zip(*(factor.value.flatten() for factor in factors), strict=True):
        first, *second = (leaf("", number) for number in numbers)
        products.append(first * second[0] if second else first)
    summed = products[0]
    for product in products[1:]:
        summed = summed + product
    return write(summed, style)[0], SUM


def window_of(one: Term, latex: bool) -> str:
    """The sum over the places m, n of the filter."""
    x, w, _, place = one.parts
    m, n = (f"{letter}+{int(i)}" if i else letter for letter, i in zip("mn", place.value, strict=True))
    if latex:
        return rf"\sum_{{m,n}} {named(x.name, latex)}[{m}, {n}] \, {named(w.name, latex)}[m, n]"
    return f"sum_mn {x.name}[{m},{n}] {w.name}[m,n]"


def held(one: Term, place: int, style: Style) -> Box:
    """A part, in brackets if it would fall apart in its place."""
    box, strength = write(one, style)
    negative = place == ATOM and box[0].startswith("-")
    return bracketed(box, style) if strength < place or negative else box


def bracketed(box: Box, style: Style) -> Box:
    """In round brackets, which in LaTeX are as high as a matrix or a fraction that they hold."""
    high = style.latex and any(mark in box[0] for mark in ("bmatrix", r"\frac"))
    return beside(r"\left(", box, r"\right)") if high else beside("(", box, ")")


def beside(*boxes: Box | str) -> Box:
    """Boxes from left to right, their first lines level."""
    boxes = [[box] if isinstance(box, str) else box for box in boxes]
    height = max(map(len, boxes))
    padded = [[*box, *[" " * len(box[0])] * (height - len(box))] for box in boxes]
    return ["".join(lines) for lines in zip(*padded, strict=True)]


def figures(value: Tensor, style: Style) -> Box:
    """A number; a vector as a row; a matrix, in text with its decimal points below each other."""
    if not value.dim():
        return [figure(value.item(), style)]
    rows = [[figure(number, style) for number in row] for row in value.reshape(-1, value.shape[-1]).tolist()]
    if style.latex:
        return [r"\begin{bmatrix} " + r" \\ ".join(" & ".join(row) for row in rows) + r" \end{bmatrix}"]
    if value.dim() == 1 or style.inline:
        return ["[" + "; ".join(" ".join(row) for row in rows) + "]"]
    columns = [at_the_point(column) for column in zip(*rows, strict=True)]
    return ["[" + " ".join(row) + "]" for row in zip(*columns, strict=True)]


def at_the_point(numbers: tuple[str, ...]) -> list[str]:
    """Numbers of equal length, their decimal points in one place."""
    wholes, fractions = zip(*((n.partition(".")[0], "".join(n.partition(".")[1:])) for n in numbers), strict=True)
    before, after = max(map(len, wholes)), max(map(len, fractions))
    return [f"{whole:>{before}}{fraction:<{after}}" for whole, fraction in zip(wholes, fractions, strict=True)]


def figure(number: float, style: Style) -> str:
    """So many decimals; of small numbers two digits."""
    if abs(number) < 1e-12:  # what rounding leaves of a zero
        return "0"
    if abs(number) >= 10**-style.decimals:
        return f"{number:.{style.decimals}f}".rstrip("0").rstrip(".")
    text = f"{number:.2g}"
    return re.sub(r"e-0*(\d+)", r" \\cdot 10^{-\1}", text) if style.latex else text


def named(name: str, latex: bool) -> str:
    """In LaTeX, w11 and h_2 have subscripts, dJ/dw1 is a partial derivative, and `w1 new` has a word above."""
    if not latex:
        return name
    if " " in name:
        symbol, word = name.split(" ")
        return f"{named(symbol, latex)}^{{\\text{{{word}}}}}"
    if derivative := re.fullmatch(r"d(\w+)/d(\w+)", name):
        above, below = (named(part, latex) for part in derivative.groups())
        return rf"\frac{{\partial {above}}}{{\partial {below}}}"
    base, subscript = re.fullmatch(r"(eta|[A-Za-z])_?(\w*)", name).groups()
    base = r"\eta" if base == "eta" else base
    return f"{base}_{{{subscript}}}" if len(subscript) > 1 else f"{base}_{subscript}" if subscript else base
