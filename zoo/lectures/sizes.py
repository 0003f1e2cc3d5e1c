"""How many outputs a convolution or a pooling has along one side, with the arithmetic (Bombay I10, I15, I18).

    floor((M + 2 P - W) / s) + 1 outputs for M pixels, P zeros on each side, stride s; the window is W = d (K - 1) + 1
    pixels wide, K of which a kernel of dilation d sees (W = K where d = 1)

valid: P = 0. full: P = W - 1, every place where window and picture overlap. same: W - 1 zeros on both sides together,
so that stride 1 keeps the size and stride s gives ceil(M / s). PyTorch takes "same" at stride 1 only; TensorFlow at
any, with that size.
"""

import dataclasses
import math
from typing import Any

NAMES = ("valid", "same", "full")


@dataclasses.dataclass(frozen=True)
class Size:
    """What `conv_size` has found; printed, it explains itself."""

    size: int
    kernel: int
    stride: int
    padding: int | str  # as it was given
    dilation: int
    zeros: tuple[int, int]  # before the first pixel, after the last
    exact: float  # before rounding down
    output: int

    @property
    def window(self) -> int:
        """Pixels from the first to the last that the kernel covers."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def unseen(self) -> list[int]:
        """The pixels, counted from 0, that no output depends on."""
        starts = range(-self.zeros[0], -self.zeros[0] + self.output * self.stride, self.stride)
        seen = {start + i * self.dilation for start in starts for i in range(self.kernel)}
        return [pixel for pixel in range(self.size) if pixel not in seen]

    @property
    def slide_10(self) -> float:
        """(M + K) / s - 1, as slide 10 of Bombay has it, before rounding down."""
        return (self.size + self.kernel) / self.stride - 1

    def __index__(self) -> int:
        """The outputs, so that a Size can stand for a whole number."""
        return self.output

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, which JSON can hold."""
        return dataclasses.asdict(self) | {
            "zeros": list(self.zeros), "window": self.window, "formula": self.formula(), "unseen": self.unseen,
            "by_name": self.by_name(), "slide_10": self.slide_10,
        }  # fmt: skip

    def formula(self) -> str:
        """`(224 + 2*2 - 11) / 4 + 1 = 55.25 -> 55`: the arithmetic, rounded down where it has to be."""
        before, after = self.zeros
        zeros = "" if not before + after else f" + 2*{before}" if before == after else f" + {before} + {after}"
        return f"({self.size}{zeros} - {self.window}) / {self.stride} + 1 = {rounded(self.exact)}"

    def by_name(self) -> dict[str, int]:
        """The outputs under each padding that has a name; those that leave no room for a window are missing."""
        given = (self.size, self.kernel, self.stride)
        names = NAMES if self.window <= self.size else ("same", "full")
        return {name: conv_size(*given, name, self.dilation).output for name in names}

    def others(self) -> list[str]:
        """Other readings with as many outputs."""
        fits = (self.output - 1) * self.stride + self.window  # pixels, without padding and rounding
        found = []
        if fits != self.size or sum(self.zeros):
            found.append(f"{fits} pixels without padding, ({fits} - {self.window}) / {self.stride} + 1 = {self.output}")
        for zeros in range(self.window):
            room = self.size + 2 * zeros - self.window
            if room >= 0 and room // self.stride + 1 == self.output and self.zeros != (zeros, zeros):
                found.append(f"padding {zeros}, {rounded(room / self.stride + 1)}")
        return found

    def __str__(self) -> str:
        """The formula with its numbers, and what one may ask next."""
        lines = [self.formula(), f"  {self.unseen_in_words()}"]
        if self.dilation > 1:
            lines.append(f"  window: {self.dilation} * ({self.kernel} - 1) + 1 = {self.window} pixels wide")
        lines.append("  padding by name: " + ", ".join(f"{name} {size}" for name, size in self.by_name().items()))
        if others := self.others():
            more = f"; and {len(others) - 3} more" if len(others) > 3 else ""
            lines.append(f"  {self.output} as well: {'; '.join(others[:3])}{more}")
        if self.dilation == 1:
            terms = f"({self.size} + {self.kernel}) / {self.stride} - 1"
            lines += [
                f"  Bombay, slide 10, has (M + P)/s - 1, P the kernel: {terms} = {rounded(self.slide_10)}",
                "    right with full padding at stride 1, and without padding where the stride is the kernel",
            ]
        return "\n".join(lines)

    def unseen_in_words(self) -> str:
        """Which pixels, and which zeros on the right, no window reaches."""
        unseen = self.unseen
        last = self.size + sum(self.zeros) - self.window - (self.output - 1) * self.stride  # what rounding leaves over
        if not unseen:
            zeros = f"; of the {self.zeros[1]} zeros after the last pixel, {last} not" if last else ""
            return f"every pixel is seen{zeros}"
        tail = unseen == list(range(self.size - len(unseen), self.size))
        some = ", ".join(map(str, unseen[:4])) + (", ..." if len(unseen) > 4 else "")
        where = f"the last {len(unseen)}" if tail else f"{len(unseen)}"
        return f"never seen: {where} of {self.size} pixels, counted from 0: {some}"


def conv_size(size: int, kernel: int, stride: int = 1, padding: int | str = 0, dilation: int = 1) -> Size:
    """The outputs along one side; padding: zeros on each side, "valid", "same" or "full". Raises ValueError."""
    for name, value in {"size": size, "kernel": kernel, "stride": stride, "dilation": dilation}.items():
        if type(value) is not int or value < 1:
            raise ValueError(f"{name} must be a whole number >= 1, got {value!r}")
    if padding not in NAMES and (type(padding) is not int or padding < 0):
        raise ValueError(f"padding must be a whole number >= 0, or one of {', '.join(NAMES)}; got {padding!r}")
    wide = dilation * (kernel - 1)
    both = {"valid": 0, "same": wide, "full": 2 * wide}[padding] if isinstance(padding, str) else 2 * padding
    room = size + both - wide - 1
    if room < 0:
        raise ValueError(f"a window of {wide + 1} does not fit into {size} pixels and {both} zeros")
    zeros = (both // 2, both - both // 2)
    return Size(size, kernel, stride, padding, dilation, zeros, room / stride + 1, room // stride + 1)


def rounded(exact: float) -> str:
    """`55.25 -> 55`; a whole number stays."""
    whole = math.floor(exact)
    return str(whole) if exact == whole else f"{exact:.4f}".rstrip("0") + f" -> {whole}"
