"""804 Irish tunes in ABC notation, the music as text of Shanghai S39: a header of fields, then notes in bars.

Source: distributed with lab 1 of MIT 6.S191 (2024), collected from Norbeck's ABC tunes; traditional music. Rules of the
notation: the ABC music standard 2.1, sections 3 (fields) and 4 (notes, bars), as far as these tunes use it.
"""

import re
from fractions import Fraction

import torch
from torch import nn

from zoo.data.fetch import File, fetch
from zoo.data.text import TextSet, read_text
from zoo.registry import register

URL = "https://raw.githubusercontent.com/MITDeepLearning/introtodeeplearning/master/mitdeeplearning/data/irish.abc"
FILE = File("irish.abc", "df3782d5f7b5a2f4c66aa7c13f13008d5f48757b3f5f51620cd6c1ceb2c53023", 197_618)


@register("irish", group="data")
class Irish(TextSet):
    """197,618 characters, 83 different ones; the first nine tenths of the tunes train, the others are held out.

    root: folder that holds (or shall hold) irish.abc; None: ZOO_DATA_DIR, else data/cache.
    """

    licence = "MIT; traditional tunes"
    prompt = "|!\n\nX:"  # the end of a tune and the beginning of the next: from an empty state, X: alone may be L:

    def __init__(self, batch_size: int = 32, sequence_length: int = 100, root: str | None = None):
        super().__init__(batch_size, sequence_length, root)

    def read(self) -> str:
        """The file, fetched where it is not there. Raises DataError."""
        return read_text(fetch(URL, self.root / FILE.name, FILE))

    def split(self, text: str) -> tuple[str, str]:
        """Between two tunes."""
        border = text.index("\n\nX:", len(text) * 9 // 10) + 2
        return text[:border], text[border:]

    def probe(self, network: nn.Module) -> dict[str, float]:
        """Of 100 tunes that the network writes: how many parse, and how many of their bars are as long as their metre.

        Drawn at temperature 0.7 with a fixed seed; a tune ends at the first empty line, and one without is none.
        """
        if not hasattr(network, "sample"):
            return {}
        prompts = network.encode(self.prompt).repeat(100, 1)
        generator = torch.Generator().manual_seed(0)
        drawn = torch.stack(list(network.sample(prompts, LONGEST, temperature=0.7, generator=generator)), 1)  # (100, T)
        texts = ["X:" + network.decode(numbers) for numbers in drawn]
        tunes = [text.partition("\n\n")[0] for text in texts if "\n\n" in text]
        good = [tune for tune in tunes if problem(tune) is None]
        counts = [full_bars(tune) for tune in good]
        return {
            "tunes_that_parse": len(good),
            "full_bars": sum(full for full, _ in counts) / max(1, sum(bars for _, bars in counts)),
        }


LONGEST = 700  # characters; the longest of the 804 tunes has 603
FIELDS = (  # in this order, a line each; Z, who wrote the tune down, may be missing
    r"X:\d+\n",
    r"T:.*\S.*\n",
    r"(?:Z:.*\n)?",
    r"M: ?(?P<metre>C\|?|[1-9]\d*/[1-9]\d*)\s*\n",
    r"L: ?(?P<unit>1/[1-9]\d*)\s*\n",
    r"K: ?[A-G][#b]? ?(?:Major|Minor|Dorian|Mixolydian|Phrygian|Lydian|Locrian)?\s*\n",
)
HEADER = re.compile("".join(FIELDS))
NOTE = r"(?:\^{1,2}|_{1,2}|=)?[A-Ga-gz][,']*"
LENGTH = r"(?:\d*/[1-9]\d*|\d+/+|\d+|/+)?"
TOKEN = re.compile(
    rf"""
    (?P<bar>\[\||\|\]|\|\||:\||\|:|::|\||:\|\]?)            # bar lines and repeats
  | (?P<ending>\[?[12](?=[\s"A-Ga-gz(\[^_=~.]))             # first and second time
  | (?P<field>\[?[KML]:[ ]?[\w#/|]+(?:[ ](?:Major|Minor|Dorian|Mixolydian))?\]?)   # a change of key or metre
  | (?P<tuplet>\([2-9])(?=[\s"(A-Ga-gz^_=\[~.{{])           # so many notes in the time of fewer
  | (?P<note>(?:{NOTE}|\[(?:{NOTE}{LENGTH})+\]){LENGTH})    # a note, a rest, several at once
  | (?P<broken>[<>]{{1,2}})                                 # one longer, the other shorter
  | (?P<other>[()~.\-\sTHuv!]|"[^"\n]*"|\{{[^}}\n]*\}}|\#)  # slurs, ties, ornaments, chord names, ends of lines
    """,
    re.VERBOSE,
)


def problem(tune: str) -> str | None:
    """What is wrong with a tune, or None: all header fields in their order, then nothing but notes and bar lines.

    A body counts as bars when it has at least two bar lines and ends with one.
    """
    header = HEADER.match(tune)
    if header is None:
        return "the header fields are not X, T, (Z,) M, L, K, each with a legal value"
    body, place, bars, last = tune[header.end() :].rstrip("! \n"), 0, 0, ""  # ! marks the end of a line
    while place < len(body):
        token = TOKEN.match(body, place)
        if token is None:
            return f"no notes or bars: {body[place : place + 10]!r}"
        last = str(token.lastgroup)
        bars += last == "bar"
        place = token.end()
    if bars < 2:
        return "fewer than two bar lines"
    return None if last == "bar" else "does not end with a bar line"


def full_bars(tune: str) -> tuple[int, int]:
    """Of the bars between two plain bar lines of a tune that parses, how many are as long as the metre says; and all.

    Bars beside repeats, endings and changes of metre are not counted: they may be cut in two.
    """
    header = HEADER.match(tune)
    metre = header["metre"]
    whole = Fraction(1) if metre in ("C", "C|") else Fraction(metre)
    compound = metre in ("6/8", "9/8", "12/8")
    full, bars, length, counted, notes, factor = 0, 0, Fraction(0), False, 0, Fraction(1)
    for token in TOKEN.finditer(tune, header.end()):
        text = token[0]
        if token.lastgroup == "bar":
            if counted and text == "|":
                bars += 1
                full += length * Fraction(header["unit"]) == whole
            length, counted = Fraction(0), text == "|"
        elif token.lastgroup in ("ending", "field"):
            counted = False
        elif token.lastgroup == "tuplet":
            notes = int(text[1])  # so many in the time of 3, of 2, or of 2 or 3 as the metre is (section 4.13)
            time = 3 if notes in (2, 4, 8) else 2 if notes in (3, 6) else 3 if compound else 2
            factor = Fraction(time, notes)
        elif token.lastgroup == "note":
            length += note_length(text) * (factor if notes else 1)
            notes = max(0, notes - 1)
    return full, bars


def note_length(text: str) -> Fraction:
    """In units of the field L: `A` 1, `A2` 2, `A/` or `A/2` 1/2, `A3/2` 3/2; of several at once the first counts."""
    inner, _, outer = text.rpartition("]")
    length = Fraction(1)
    for part in filter(None, (re.search(NOTE + LENGTH, inner), outer)):
        digits = re.search(r"(\d*)(/*)(\d*)$", part if isinstance(part, str) else part[0])
        over, slashes, under = digits.groups()
        length *= Fraction(int(over or 1), int(under or 2 ** len(slashes)) if slashes else 1)
    return length
