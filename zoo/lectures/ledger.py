"""The ledger of claims: what a slide says, what it comes to when it is computed, and whether it holds.

A claim is a small function under its id. It yields the steps of its derivation, with the numbers put in, and returns
what they come to:

    @claim("I08", slide=10, says="200x200x3 inputs into 40,000 neurons: 4,800,000 parameters", topic="parameters",
           stated=4_800_000, expected=4_800_000_000, verdict="wrong", why="Three zeros are missing.",
           correction="4,800,000,000 weights")
    def mlp_on_a_photograph() -> Steps:
        inputs = 200 * 200 * 3
        yield f"inputs: 200 * 200 * 3 = {inputs:,}"
        ...
        return inputs * 40_000

`check` computes it anew and compares: with what is expected; and what the slide states with what was computed, which a
verdict "wrong" must find different and an "ok" alike. Random numbers start from the same state for every claim.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, NamedTuple

from zoo.errors import ConfigError
from zoo.registry import nearest

Steps = Generator[str, None, Any]  # lines of the derivation, then its plain value: a number, bool, text, tuple or dict

VERDICTS = {
    "ok": "holds as stated",
    "ok by convention": "holds under a convention that the slide does not state",
    "loose": "right in the main, not to the letter",
    "ambiguous": "can be read in two ways that give different answers",
    "contradictory": "does not agree with itself, or with another slide of its lecture",
    "wrong": "does not hold",
    "extraction": "signs or figures are missing in the text of the slides, which is no fault of the lecturer",
    "outside": "rests on published numbers, which no run of ours gives",
    "shown": "a run shows it, within a band",
    "no claim": "says nothing that could be computed",
}
TO_CORRECT = ("wrong", "contradictory", "ambiguous", "loose")  # the errata, the gravest first
AGREES = {"ok": True, "wrong": False}  # whether what the slide states is what is computed; others: either

TOPICS = (
    "neuron", "backpropagation", "training", "regularisation", "depth", "parameters", "convolution", "pooling",
    "architectures", "autoencoders", "words", "recurrence", "gates", "attention", "loss", "representation",
    "applications", "history",
)  # fmt: skip


class Lecture(NamedTuple):
    """A lecture whose claims begin with a letter of its own."""

    name: str  # also that of its folder here
    title: str


LECTURES = {
    "U": Lecture("cyprus", "Cyprus"),
    "C": Lecture("prague", "Prague (P. Pošík)"),
    "R": Lecture("barcelona", "Barcelona (X. Giró-i-Nieto)"),
    "S": Lecture("shanghai", "Shanghai"),
    "I": Lecture("bombay", "Bombay (G. Ramakrishnan)"),
}


class Within(NamedTuple):
    """Any number in a band, as a run gives it."""

    low: float = -math.inf
    high: float = math.inf

    def __str__(self) -> str:
        """`>= 0.95`, `<= 0.2`, `0.45 to 0.55`."""
        if math.isinf(self.high):
            return f">= {self.low:g}"
        return f"<= {self.high:g}" if math.isinf(self.low) else f"{self.low:g} to {self.high:g}"


@dataclasses.dataclass(frozen=True)
class Claim:
    """One row. expected, stated: plain values, of the form of what `compute` returns."""

    id: str
    slide: str  # a number, several, or a title where slides have no numbers
    says: str  # in a few words
    topic: str
    verdict: str
    why: str = ""  # of every verdict but "ok"; where nothing is computed, why
    correction: str = ""  # what the slide should say
    stated: Any = None  # the slide's own value; None where it gives none
    expected: Any = None  # ours, as last computed; `Within` for what a run gives; a dict has one of these for each part
    tolerance: float = 0.0  # by which a computed fraction may differ from the expected
    rounding: float = 0.0  # by what share the slide's number may differ from ours, as in "about 600 thousand"
    trains: bool = False  # whether computing it trains a network, for some seconds
    experiments: tuple[str, ...] = ()  # that show it at length: python train.py experiment=...
    compute: Callable[[], Steps] | None = None

    @property
    def lecture(self) -> Lecture:
        """Whose claim it is."""
        return LECTURES[self.id[0]]


class Outcome(NamedTuple):
    """A claim computed anew."""

    claim: Claim
    value: Any
    steps: list[str]
    problems: list[str]  # none: the stored verdict holds
    seconds: float


CLAIMS: dict[str, Claim] = {}
DRAWINGS: dict[str, Callable[[], Any]] = {}  # by claim: a function that returns a matplotlib Figure


def claim(
    id: str, *, slide: int | str, says: str, topic: str, verdict: str, expected: Any, **more: Any
) -> Callable[[Callable[[], Steps]], Callable[[], Steps]]:
    """Decorator: the function computes what the claim comes to. Arguments as the fields of `Claim`."""

    def decorate(compute: Callable[[], Steps]) -> Callable[[], Steps]:
        enter(Claim(id, str(slide), says, topic, verdict, expected=expected, compute=compute, **more))
        return compute

    return decorate


def remark(id: str, *, slide: int | str, says: str, topic: str, verdict: str, why: str, **more: Any) -> None:
    """A row that nothing computes; `why` says why not."""
    enter(Claim(id, str(slide), says, topic, verdict, why, **more))


def enter(one: Claim) -> None:
    """Keep a claim. Its fields are checked here, so that no row can be half filled."""
    rules = (
        (one.id not in CLAIMS, "is there twice"),
        (one.id[0] in LECTURES and one.id[1:].isdigit(), f"must be one of {', '.join(LECTURES)} and a number"),
        (one.verdict in VERDICTS, f"has the verdict {one.verdict!r}; valid: {', '.join(VERDICTS)}"),
        (one.topic in TOPICS, f"has the topic {one.topic!r}; valid: {', '.join(TOPICS)}"),
        (one.why or one.verdict == "ok", "has a verdict that wants a reason"),
        (bool(one.correction) == (one.verdict in TO_CORRECT), f"has a correction where it is one of {TO_CORRECT}"),
        (one.compute is None or one.expected is not None, "expects nothing"),
    )
    for holds, text in rules:
        if not holds:
            raise ValueError(f"claim {one.id!r} {text}")
    CLAIMS[one.id] = one


def drawing(id: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Decorator: the function draws the claim's figure, for a slide."""

    def decorate(draw: Callable[[], Any]) -> Callable[[], Any]:
        if id in DRAWINGS:
            raise ValueError(f"claim {id!r} has two figures")
        DRAWINGS[id] = draw
        return draw

    return decorate


def load_claims() -> dict[str, Claim]:
    """Every claim by its id, lecture by lecture."""
    import importlib

    for lecture in LECTURES.values():
        importlib.import_module(f"zoo.lectures.{lecture.name}")
    order = list(LECTURES)
    return dict(sorted(CLAIMS.items(), key=lambda item: (order.index(item[0][0]), int(item[0][1:]))))


def chosen(
    ids: list[str] | None = None, lecture: str | None = None, slide: str | None = None, verdict: str | None = None,
    topic: str | None = None,
) -> list[Claim]:  # fmt: skip
    """The claims that fit all that is given. Raises ConfigError for an id, lecture, verdict or topic unknown."""
    claims = load_claims()
    names = [one.name for one in LECTURES.values()]
    wanted = [id[:1].upper() + id[1:].zfill(2) for id in ids or []]  # c8 is C08
    known = [(id, "claim", list(claims)) for id in wanted]
    known += [(lecture, "lecture", names), (verdict, "verdict", list(VERDICTS)), (topic, "topic", list(TOPICS))]
    for value, kind, valid in known:
        if value is not None and value not in valid:
            ours = "U01 .. I38, as zoo ledger lists them (by lecture, slide, verdict or topic: zoo ledger --help)"
            listed = ours if kind == "claim" else ", ".join(valid)
            raise ConfigError(f"unknown {kind} {value!r}{nearest(value, valid)}; valid: {listed}")
    return [
        one for one in claims.values()
        if (not wanted or one.id in wanted) and lecture in (None, one.lecture.name) and verdict in (None, one.verdict)
        and topic in (None, one.topic) and (slide is None or slide.lower() in slides(one.slide.lower()))
    ]  # fmt: skip


def slides(text: str) -> set[str]:
    """Each slide that a text such as `39-42, 44` names, and the text itself."""
    found = {text}
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        ends = first.isdigit() and (last or first).isdigit()
        found |= set(map(str, range(int(first), int(last or first) + 1))) if ends else {part.strip()}
    return found


# --- checking -----------------------------------------------------------------------------------------------------


def check(one: Claim) -> Outcome:
    """Compute a claim and compare; one that nothing computes has nothing to fail."""
    import torch

    started, steps, value = time.perf_counter(), [], None
    if one.compute is None:
        return Outcome(one, None, [], [], 0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        derivation = one.compute()
        try:
            while True:
                steps.append(next(derivation))
        except StopIteration as end:
            value = end.value
            problems = differences(value, one.expected, one.tolerance) + judgement(one, value)
        except Exception as error:  # one row's mistake; the others are computed all the same
            problems = [f"raised {type(error).__name__}: {error}"]
    return Outcome(one, value, steps, problems, time.perf_counter() - started)


def differences(value: Any, expected: Any, tolerance: float, where: str = "") -> list[str]:
    """In a line each, what of a computed value is not as expected."""
    if isinstance(expected, dict):
        if not isinstance(value, dict) or value.keys() != expected.keys():
            return [f"{where}computed {value!r}, expected the parts {', '.join(expected)}"]
        return [line for k in expected for line in differences(value[k], expected[k], tolerance, f"{k}: ")]
    if isinstance(expected, (tuple, list)) and not isinstance(expected, Within):
        if not isinstance(value, (tuple, list)) or len(value) != len(expected):
            return [f"{where}computed {shown(value)}, expected {shown(expected)}"]
        pairs = enumerate(zip(value, expected, strict=True), 1)
        return [line for i, (v, e) in pairs for line in differences(v, e, tolerance, f"{where}no. {i}: ")]
    if isinstance(expected, Within):
        fits = is_number(value) and expected.low <= value <= expected.high
    elif isinstance(expected, float) and is_number(value):
        fits = math.isclose(value, expected, rel_tol=1e-6, abs_tol=tolerance)
    else:
        fits = type(value) is type(expected) and value == expected
    return [] if fits else [f"{where}computed {shown(value)}, expected {shown(expected)}"]


def judgement(one: Claim, value: Any) -> list[str]:
    """Whether the slide's value and the computed one stand to each other as the verdict says."""
    if one.stated is None or one.verdict not in AGREES:
        return []
    pairs = list(comparable(one.stated, value))
    alike = all(math.isclose(s, v, rel_tol=max(one.rounding, 1e-6), abs_tol=one.tolerance) for s, v in pairs)
    if not pairs or alike == AGREES[one.verdict]:
        return []
    text = f"the slide's {shown(one.stated)} {'is' if alike else 'is not'} the computed {shown(value)}"
    return [f"the verdict is {one.verdict!r}, but {text}"]


def comparable(stated: Any, value: Any) -> Iterator[tuple[float, float]]:
    """The pairs of numbers at the same place in both."""
    if isinstance(stated, dict) and isinstance(value, dict):
        for key in stated.keys() & value.keys():
            yield from comparable(stated[key], value[key])
    elif isinstance(stated, (tuple, list)) and isinstance(value, (tuple, list)) and len(stated) == len(value):
        for pair in zip(stated, value, strict=True):
            yield from comparable(*pair)
    elif is_number(stated) and is_number(value):
        yield stated, value


def is_number(value: Any) -> bool:
    """A whole number or a fraction; True is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def shown(value: Any) -> str:
    """A plain value as people write it: 289,630; 0.0052; yes; (6, 8); weights: 1,500; with biases: 1,520."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, dict):
        return "; ".join(f"{key}: {shown(part)}" for key, part in value.items())
    if isinstance(value, (tuple, list)) and not isinstance(value, Within):
        return f"({', '.join(map(shown, value))})"
    return str(value)
