"""A calculation written out step by step: as text for a terminal, as LaTeX for a slide, as plain values."""

import re
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from zoo.lectures.terms import Term, leaf
from zoo.lectures.writing import Box, Style, beside, figures, line, named, write

WIDTH = 100  # columns of the text
COLUMN = 46  # of them; numbers that take more stand outside the columns
PAGE = 66  # columns of the text, whose mathematics fills a line on a page of LaTeX


@dataclass
class Step:
    """symbol = formula = numbers = value; what is given or found elsewhere has a value only."""

    part: str  # given, forward, backward, update, ...
    what: str
    symbol: str
    value: Tensor
    term: Term | None = None

    def sides(self, style: Style) -> list[Box]:
        """Formula, numbers, value, as far as each says something new; what does not is an empty box."""
        value = figures(self.value, style)
        if not self.term:
            return [[], [], value]
        formula, numbers = write(self.term, style._replace(numbers=False))[0], write(self.term, style)[0]
        return [formula, [] if numbers in (formula, value) else numbers, value]


@dataclass
class Trace:
    """A calculation; `given`, `let` and `found` write it, step by step, and return what later steps can use."""

    name: str
    title: str
    source: str  # lecture and slide
    note: str  # what must be known to read it
    decimals: int = 4
    part: str = "given"  # to which the next steps belong
    steps: list[Step] = field(default_factory=list)

    def given(self, symbol: str, value: float | list) -> Term:
        """A starting number."""
        one = leaf(symbol, value)
        self.steps.append(Step("given", "", symbol, one.value))
        return one

    def let(self, symbol: str, term: Term, what: str = "") -> Term:
        """symbol = term."""
        self.steps.append(Step(self.part, what, symbol, term.value, term))
        return leaf(symbol, term.value)

    def found(self, symbol: str, value: Term, what: str = "") -> None:
        """What the same steps come to with other numbers: they are not written again."""
        self.steps.append(Step(self.part, what, symbol, value.value))

    def scratch(self) -> "Trace":
        """Another board, to run steps again on."""
        return Trace(self.name, self.title, self.source, self.note)

    def __getitem__(self, symbol: str) -> Any:
        """The value of a symbol, as a plain number or list."""
        return next(step.value.tolist() for step in self.steps if step.symbol == symbol)

    def parts(self) -> dict[str, list[Step]]:
        """The steps under the title of their part."""
        found: dict[str, list[Step]] = {}
        for step in self.steps:
            found.setdefault(step.part, []).append(step)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values, which JSON can hold; matrices are lists of rows."""
        head = {"name": self.name, "title": self.title, "source": self.source, "note": self.note}
        names = Style(latex=False, numbers=False)
        numbers = Style(latex=False, numbers=True, inline=True, decimals=self.decimals)
        steps = [
            {
                "part": step.part,
                "what": step.what,
                "symbol": step.symbol,
                "formula": line(step.term, names) if step.term else "",
                "numbers": line(step.term, numbers) if step.term else "",
                "latex": equation(step, self.decimals),
                "value": step.value.tolist(),
            }
            for step in self.steps
        ]
        return head | {"steps": steps}

    def text(self) -> str:
        """Columns, at most 100 wide."""
        style = Style(latex=False, numbers=True, decimals=self.decimals)
        lines = [f"{self.title}{self.source:>{WIDTH - len(self.title)}}", self.note]
        for part, steps in self.parts().items():
            lines += [part, *(in_a_row(steps, style) if part == "given" else in_columns(steps, style))]
        return "\n".join(row.rstrip() for row in lines)

    def latex(self) -> str:
        """A fragment for a document that uses amsmath: an alignment for each part."""
        lines = [f"% {self.source}; zoo trace {self.name} --format latex; needs amsmath", r"\begingroup"]
        lines += [r"\allowdisplaybreaks", rf"\paragraph{{{escaped(self.title)}}} {escaped(self.note)}"]
        for part, steps in self.parts().items():
            rows = side_by_side(steps) if part == "given" else [aligned(step, self.decimals) for step in steps]
            lines += ["", rf"\textit{{{escaped(part)}}}", r"\begin{align*}", " \\\\\n".join(rows), r"\end{align*}"]
        return "\n".join([*lines, r"\endgroup"])


# --- LaTeX --------------------------------------------------------------------------------------------------------


def equation(step: Step, decimals: int) -> str:
    """symbol = formula = numbers = value."""
    sides = step.sides(Style(latex=True, numbers=True, decimals=decimals))
    return " = ".join([named(step.symbol, latex=True), *(side[0] for side in sides if side)])


def aligned(step: Step, decimals: int) -> str:
    """An equation of an alignment, over as many lines as it takes; at the right, what it is."""
    styles = [Style(latex, numbers=True, decimals=decimals) for latex in (True, False)]
    lines, filled = [f"  {named(step.symbol, latex=True)} &"], len(step.symbol) + len(step.what)
    for side, box in zip(*map(step.sides, styles), strict=True):
        if not side:
            continue
        if filled + width(box) > PAGE and not lines[-1].endswith("&"):
            lines.append("    &")
            filled = 0
        lines[-1] += f" = {side[0]}"
        filled += width(box) + 3
    lines[0] += rf" \tag*{{{escaped(step.what)}}}" if step.what else ""
    return " \\\\\n".join(lines)


def side_by_side(steps: list[Step]) -> list[str]:
    """What is given, in rows of an alignment."""
    rows, filled = [[]], 0
    for step in steps:
        wide = len(step.symbol) + width(step.sides(Style(latex=False, numbers=True))[-1]) + 8
        if filled + wide > PAGE:
            rows.append([])
            filled = 0
        rows[-1].append(equation(step, decimals=4))
        filled += wide
    return ["  & " + r", \quad ".join(row) for row in rows]


def escaped(text: str) -> str:
    """For LaTeX's text, as far as a title or a note needs it."""
    return re.sub(r"([_&%#])", r"\\\1", text)


# --- text ---------------------------------------------------------------------------------------------------------


def in_a_row(steps: list[Step], style: Style) -> Box:
    """What is given, side by side as far as it fits."""
    lines, row = [], [" "]
    for step in steps:
        box = beside(f" {step.symbol} = ", figures(step.value, style), "  ")
        if width(row) + width(box) > WIDTH:
            lines, row = [*lines, *row], [" "]
        row = beside(row, box)
    return [*lines, *row]


def in_columns(steps: list[Step], style: Style) -> Box:
    """what   symbol = formula = numbers = value, in columns as far as they fit."""
    what, symbol = (max(len(getattr(step, name)) for step in steps) for name in ("what", "symbol"))
    margin = 2 + what + 2 + symbol
    cells = [[beside(" = ", side) if side else [""] for side in step.sides(style)] for step in steps]
    short = [
        (width(formula), width(numbers))
        for formula, numbers, value in cells
        if margin + width(beside(formula, numbers, value)) <= WIDTH and width(numbers) <= COLUMN
    ]
    first, second = (max(column) for column in zip(*short, strict=True)) if short else (0, 0)
    lines = []
    for step, (formula, numbers, value) in zip(steps, cells, strict=True):
        head = f"  {step.what:{what}}  {step.symbol:>{symbol}}"
        padded = beside(head, filled_up(formula, first), filled_up(numbers, second), value)
        ragged = beside(head, formula, numbers, value)
        if width(padded) <= WIDTH:
            lines += padded
        elif width(ragged) <= WIDTH:
            lines += ragged
        else:
            lines += [head + formula[0], *below(margin, numbers, value)]
    return lines


def below(margin: int, numbers: Box, value: Box) -> Box:
    """Numbers and value under their formula, or as far left as they must; where both do not fit, the value below."""
    both = beside(numbers, value)
    if width(both) + 2 <= WIDTH:
        return beside(" " * min(margin, WIDTH - width(both)), both)
    return [*beside(" " * max(2, min(margin, WIDTH - width(numbers))), numbers), *beside(" " * margin, value)]


def filled_up(box: Box, wide: int) -> Box:
    """With spaces at the right."""
    return [f"{line:{wide}}" for line in box]


def width(box: Box) -> int:
    """Columns that it takes."""
    return len(box[0]) if box else 0
