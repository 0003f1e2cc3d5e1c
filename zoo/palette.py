"""What all figures look like: size, colours, font."""

import functools

from matplotlib.font_manager import findfont
from matplotlib.ft2font import FT2Font

SIZE = (8.0, 4.5)  # inches; 16:9 like a slide
COLOURS = ("#c0392b", "#2471a3", "#1e8449", "#7d3c98", "#b9770e", "#222222", "#117a65", "#a04000")
ACCENT, SECOND, INK, PALE = COLOURS[0], COLOURS[1], COLOURS[5], "#d5d8dc"
FONT = "DejaVu Sans Mono"  # comes with matplotlib


def printable(text: str) -> str:
    """Text as matplotlib can show it: line ends as an arrow, a dot for what the font lacks, and no formulas."""
    known = characters_of_the_font()
    shown = "".join(c if ord(c) in known else "\u00b7" for c in text.replace("\n", "\u21b5"))
    return shown.replace("$", r"\$")


@functools.cache
def characters_of_the_font() -> frozenset[int]:
    """The code points that the font can show; it is read once, not for every label."""
    return frozenset(FT2Font(findfont(FONT)).get_charmap())
