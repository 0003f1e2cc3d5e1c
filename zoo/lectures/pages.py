"""The ledger to read: the table, one claim with its derivation, docs/ledger.md, and the errata of a lecture."""

import inspect
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any

from zoo.experiments import experiment_title
from zoo.lectures.ledger import DRAWINGS, LECTURES, TO_CORRECT, VERDICTS, Claim, Outcome, shown

WIDTH = 120  # columns where nobody says how many there are

INTRODUCTION = """\
# The ledger

{count} things that the slides of five lectures say, and what they come to when they are computed: `zoo ledger` prints
this table, `zoo ledger show ID` the derivation of a row with its numbers, `zoo ledger check` computes all of it anew.
{computed} rows are computed, {training} of them by training something for seconds; the others say why not. Where
"stated" is empty, the slide gives no value. Slides of Shanghai have titles instead of numbers.
"""


def by_lecture(claims: Iterable[Claim]) -> dict[str, list[Claim]]:
    """The claims of each lecture, under its title; lectures without any are left out."""
    groups: dict[str, list[Claim]] = {lecture.title: [] for lecture in LECTURES.values()}
    for one in claims:
        groups[one.lecture.title].append(one)
    return {title: group for title, group in groups.items() if group}


def row(one: Claim) -> dict[str, Any]:
    """A claim as plain values, for JSON."""
    names = ("id", "slide", "says", "topic", "verdict", "why", "correction", "stated", "trains", "experiments")
    values = {name: getattr(one, name) for name in names}
    bands = {"expected": shown(one.expected), "lecture": one.lecture.name, "computed": one.compute is not None}
    return values | bands


def table(claims: list[Claim]) -> str:
    """A line or more for each claim, by lecture; cells that are too long go on in the next line."""
    width, lines = max(80, shutil.get_terminal_size((WIDTH, 0)).columns), []
    for title, group in by_lecture(claims).items():
        rows = [("id", "slide", "says", "stated", "computed", "verdict")]
        rows += [(one.id, one.slide, one.says, shown(one.stated), ours(one), one.verdict) for one in group]
        widths = columns([max(map(len, column)) for column in zip(*rows, strict=True)], width)
        lines += ["", title, *[line for cells in rows for line in wrapped(cells, widths)]]
    return "\n".join(lines[1:])


def columns(longest: list[int], width: int) -> list[int]:
    """The widths of the six columns, given their longest cells: `says` and `computed` share what the others leave."""
    id, slide, says, stated, computed, verdict = longest
    slide, verdict = min(slide, width // 8), min(verdict, len("contradictory"))
    room = width - 2 * (len(longest) - 1) - id - slide - verdict
    stated = min(stated, room // 4)
    room -= stated
    says = min(says, max(room // 2, room - computed))
    return [id, slide, says, stated, min(computed, room - says), verdict]


def wrapped(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """One row of a table in as many lines as its longest cell takes."""
    parts = [textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, widths, strict=True)]
    height = max(map(len, parts))
    lines = zip(*[[*part, *[""] * (height - len(part))] for part in parts], strict=True)
    return ["  ".join(f"{part:{width}}" for part, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def ours(one: Claim) -> str:
    """What is expected of the computation; a dash where there is none."""
    return shown(one.expected) if one.compute else "-"


def explained(outcome: Outcome) -> str:
    """A claim in full: verdict and reason, the derivation step by step, the code, the figure, the experiments."""
    one = outcome.claim
    facts = {
        "says": one.says,
        "stated": shown(one.stated),
        "computed": shown(outcome.value),
        "expected": shown(one.expected) if shown(one.expected) != shown(outcome.value) else "",
        "verdict": f"{one.verdict}: {VERDICTS[one.verdict]}",
        "why": one.why,
        "correct": one.correction,
        "failed": "; ".join(outcome.problems),
    }
    lines = [f"{one.id}  {one.lecture.title}, {place(one)}"]
    for name, text in facts.items():
        if text:
            lines += textwrap.wrap(text, 100, initial_indent=f"{name:10}", subsequent_indent=" " * 10)
    if outcome.steps:
        lines += ["", "derivation", *[f"  {step}" for step in outcome.steps]]
    if one.compute:
        module = one.compute.__module__.replace(".", "/")
        lines += ["", f"code ({module}.py)", *[f"  {line}".rstrip() for line in code(one).splitlines()]]
    if has_figure(one):
        lines += ["", f"figure    zoo figure {one.id}"]
    for name in one.experiments:
        lines += ["", f"at length python train.py experiment={name}", f"          {experiment_title(name)}"]
    return "\n".join(lines)


def place(one: Claim) -> str:
    """`slide 50`, or `slide "The Perceptron"`."""
    return f"slide {one.slide}" if one.slide[0].isdigit() else f'slide "{one.slide}"'


def code(one: Claim) -> str:
    """The function that computes a claim, without its decorator."""
    assert one.compute is not None
    source = inspect.getsource(one.compute)
    return source[source.index("\ndef ") + 1 :].rstrip()


def has_figure(one: Claim) -> bool:
    """Whether one is drawn for it; to look into the text spares the import of matplotlib."""
    return f'@drawing("{one.id}")' in (files("zoo.lectures") / one.lecture.name / "figures.py").read_text("utf-8")


def load_drawings() -> dict[str, Any]:
    """By claim: the function that draws its figure. Imports matplotlib."""
    import importlib

    for lecture in LECTURES.values():
        importlib.import_module(f"zoo.lectures.{lecture.name}.figures")
    return DRAWINGS


# --- Markdown -----------------------------------------------------------------------------------------------------


def cell(text: str) -> str:
    """What may stand between the bars of a table in Markdown."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_").replace("~", "\\~")


def markdown(claims: list[Claim]) -> str:
    """docs/ledger.md."""
    computed = [one for one in claims if one.compute]
    counts = {"count": len(claims), "computed": len(computed), "training": sum(one.trains for one in computed)}
    lines = [INTRODUCTION.format(**counts), "| verdict | rows | meaning |", "|---|---|---|"]
    for verdict, meaning in VERDICTS.items():
        lines.append(f"| {verdict} | {sum(one.verdict == verdict for one in claims)} | {meaning} |")
    for title, group in by_lecture(claims).items():
        lines += [
            "",
            f"## {title}",
            "",
            "| id | slide | says | stated | computed | verdict |",
            "|---|---|---|---|---|---|",
        ]
        for one in group:
            verdict = f"**{one.verdict}**: {one.why}" if one.why else one.verdict
            values = (one.id, one.slide, one.says, shown(one.stated), ours(one))
            lines.append(f"| {' | '.join(map(cell, values))} | {verdict.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def errata(outcomes: list[Outcome]) -> str:
    """A page per lecture: what to correct on which slide, with the computation; the gravest first."""
    pages = []
    for title, group in by_lecture(outcome.claim for outcome in outcomes).items():
        lines = [f"# Errata: {title}"]
        by_id = {outcome.claim.id: outcome for outcome in outcomes}
        for one in sorted(group, key=lambda one: TO_CORRECT.index(one.verdict)):
            lines += ["", f"## {one.id}, {place(one)}: {one.verdict}", ""]
            lines += [f"Says: {cell(one.says)}.  ", cell(one.why), ""]
            lines += [f"    {step}" for step in by_id[one.id].steps]
            lines += ["", f"Correct: {cell(one.correction)}"]
        pages.append("\n".join(lines))
    return "\n\n".join(pages) or "nothing to correct"
