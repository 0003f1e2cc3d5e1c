"""The ledger to read: the table, one claim with its derivation, docs/ledger.md, and the errata of a lecture."""

import inspect
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any

from zoo.lectures.ledger import DRAWINGS, LECTURES, TO_CORRECT, VERDICTS, Claim, Outcome, shown

WIDTH = 120  # columns where nobody says how many there are
WIDEST = (4, 16, WIDTH, 20, 24, 16)  # columns of the table

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
        longest = [max(map(len, column)) for column in zip(*rows, strict=True)]
        widths = [min(pair) for pair in zip(longest, WIDEST, strict=True)]
        widths[2] = max(24, width - 2 * len(widths) - sum(widths) + widths[2])  # what the others leave
        lines += ["", title, *[line for cells in rows for line in wrapped(cells, widths)]]
    return "\n".join(lines[1:]) or "no claim fits"


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
        "expected": shown(one.expected),
        "verdict": f"{one.verdict}: {VERDICTS[one.verdict]}",
        "why": one.why,
        "correct": one.correction,
        "failed": "; ".join(outcome.problems),
    }
    lines = [f"{one.id}  {one.lecture.title}, slide {one.slide}"]
    for name, text in facts.items():
        if text:
            lines += textwrap.wrap(text, 100, initial_indent=f"{name:10}", subsequent_indent=" " * 10)
    if outcome.steps:
        lines += ["", "derivation", *[f"  {step}" for step in outcome.steps]]
    if one.compute:
        lines += [
            "",
            f"code ({one.compute.__module__.replace('.', '/')}.py)",
            *[f"  {line}" for line in code(one).splitlines()],
        ]
    if one.id in DRAWINGS:
        lines += ["", f"figure      zoo figure {one.id}"]
    for name in one.experiments:
        lines += ["", f"at length   python train.py experiment={name}", f"            {about(name)}"]
    return "\n".join(lines)


def code(one: Claim) -> str:
    """The function that computes a claim, without its decorator."""
    assert one.compute is not None
    source = inspect.getsource(one.compute)
    return source[source.index("\ndef ") + 1 :].rstrip()


def about(experiment: str) -> str:
    """The line that says what an experiment shows."""
    text = (files("zoo.configs") / "experiment" / f"{experiment}.yaml").read_text()
    return text.partition("\n# ")[2].partition("\n")[0]


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
            lines += ["", f"## Slide {one.slide} ({one.id}): {one.verdict}", "", f"Says: {one.says}.  ", one.why, ""]
            lines += [f"    {step}" for step in by_id[one.id].steps]
            lines += ["", f"Correct: {one.correction}"]
        pages.append("\n".join(lines))
    return "\n\n".join(pages) or "nothing to correct"
