"""`zoo ledger`, `zoo errata`, `zoo figure`, `zoo trace`, `zoo reproduce`: the lectures in a shell.

Each prints plain values instead of text with --json. Imports what it needs when it is called.
"""

import argparse
import gc
import json
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from zoo.commands import say
from zoo.errors import ConfigError, Stopped

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.lectures.ledger import Claim, Outcome

FORMATS = ("svg", "png", "pdf")
WRITINGS = ("text", "latex", "json")
LECTURE = "cyprus (U), prague (C), barcelona (R), shanghai (S) or bombay (I)"


def add_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Enter the commands; `add(function)` makes a parser with that name and --json."""
    one = add(ledger)
    one.usage = "%(prog)s [check | show] [ID ...] [options]"
    one.add_argument("ask", nargs="*", metavar="ID", help="such as C38; default: all. After check: computed anew, exit "
                     "code 1 where a verdict no longer holds. After show: the derivation with its numbers, and the "
                     "code")  # fmt: skip
    one.add_argument("--lecture", type=str.lower, help=LECTURE)
    one.add_argument("--slide", help="of that slide only, a number or a title")
    one.add_argument("--verdict", type=str.lower, help="of that verdict only, such as wrong")
    one.add_argument("--topic", type=str.lower, help="of that topic only, such as convolution")
    one.add_argument("--quick", action="store_true", help="only those that train nothing")
    one.add_argument("--markdown", action="store_true", help="the page docs/ledger.md")
    one = add(errata)
    one.add_argument("--lecture", type=str.lower, help=f"{LECTURE}; default: all")
    one = add(figure)
    one.add_argument("ids", nargs="*", metavar="ID", help="of claims that have a figure; default: list those")
    one.add_argument("--format", type=str.lower, help=f"{', '.join(FORMATS)}; default: as --output ends, else svg")
    one.add_argument("--output", help="the file; default: ID.FORMAT here")
    one = add(trace)
    one.add_argument("name", nargs="?", type=str.lower, metavar="NAME", help="such as xor; default: list all")
    one.add_argument("--format", type=str.lower, default="text", help=f"{', '.join(WRITINGS)} (default: text)")
    one = add(reproduce)
    one.add_argument("experiments", nargs="*", type=str.lower, metavar="EXPERIMENT",
                     help="names, as python train.py --help lists them")  # fmt: skip
    one.add_argument("--lecture", type=str.lower, help=f"those that show claims of {LECTURE}")
    one.add_argument("--all", action="store_true", help="every one: hours")
    one.add_argument("--seeds", type=int, default=1, help="runs of each, seeds 0, 1, ... (default: 1)")
    one.add_argument("--markdown", action="store_true", help="the table as Markdown, for a README")


def words(given: list[str]) -> list[str]:
    """Each word, whether typed as C38 C39, as C38,C39 or in quotation marks."""
    return " ".join(given).replace(",", " ").split()


# --- the ledger ---------------------------------------------------------------------------------------------------


def ledger(options: argparse.Namespace) -> None:
    """What the slides say, computed: a table; `check` computes it anew, `show` explains."""
    from zoo.lectures.ledger import check, chosen
    from zoo.lectures.pages import explained, markdown, row, table

    ids = words(options.ask)
    verb = ids.pop(0).lower() if ids and ids[0].lower() in ("check", "show") else None
    filters = (options.lecture, options.slide, options.verdict, options.topic)
    if verb == "show" and not ids and not any(filters):
        raise ConfigError("zoo ledger show wants an id, such as C38, or --slide, --lecture, ...; zoo ledger lists all")
    claims = [one for one in chosen(ids, *filters) if not (options.quick and one.trains)]
    if not claims:
        raise ConfigError("no claim fits all of that; zoo ledger lists all")
    if verb == "check":
        check_all(claims, options.json)
    elif verb == "show":
        outcomes = [check(one) for one in claims]
        say([told(outcome) for outcome in outcomes], "\n\n\n".join(map(explained, outcomes)), options.json)
    else:
        text = markdown(claims).rstrip("\n") if options.markdown else table(claims)
        say([row(one) for one in claims], text, options.json)


def told(outcome: "Outcome") -> dict[str, Any]:
    """An outcome as plain values."""
    from zoo.lectures.pages import row

    parts = {"value": outcome.value, "steps": outcome.steps, "problems": outcome.problems, "seconds": outcome.seconds}
    return row(outcome.claim) | parts


def check_all(claims: list["Claim"], as_json: bool) -> None:
    """Compute each, say how it went, and exit with 1 where one fails; on Ctrl-C say how far it came."""
    from zoo.lectures.ledger import check

    gc.enable()  # networks are made and dropped here
    outcomes: list[Outcome] = []
    try:
        for one in claims:
            outcomes.append(check(one))
            if not as_json:
                print(line_of(outcomes[-1]), flush=True)
    except KeyboardInterrupt:
        print(f"stopped by SIGINT before {claims[len(outcomes)].id}: {together(outcomes)}", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    say([told(outcome) for outcome in outcomes], together(outcomes), as_json)
    if any(outcome.problems for outcome in outcomes):
        sys.exit(1)


def line_of(outcome: "Outcome") -> str:
    """`C38  ok                289,630  (0.02 s)`."""
    from zoo.lectures.ledger import shown

    one = outcome.claim
    if outcome.problems:
        return f"{one.id:4} {'FAILS':17} {'; '.join(outcome.problems)}"
    if not one.compute:
        return f"{one.id:4} {one.verdict:17} not computed: {one.why}"
    return f"{one.id:4} {one.verdict:17} {shown(outcome.value)}  ({outcome.seconds:.2f} s)"


def together(outcomes: list["Outcome"]) -> str:
    """`227 of 233 rows computed in 93.0 s; all of them hold`."""
    computed = sum(outcome.claim.compute is not None for outcome in outcomes)
    seconds = sum(outcome.seconds for outcome in outcomes)
    failed = [outcome.claim.id for outcome in outcomes if outcome.problems]
    held = "all of them hold" if not failed else f"{len(failed)} no longer hold: {', '.join(failed)}"
    return f"{computed} of {len(outcomes)} rows computed in {seconds:.1f} s; {held}"


def errata(options: argparse.Namespace) -> None:
    """What to correct on which slide, with the computation: a page per lecture, in Markdown."""
    from zoo.lectures import pages
    from zoo.lectures.ledger import TO_CORRECT, check, chosen

    claims = [one for one in chosen(lecture=options.lecture) if one.verdict in TO_CORRECT]
    outcomes = [check(one) for one in claims]
    say([told(outcome) for outcome in outcomes], pages.errata(outcomes), options.json)


# --- figures, traces, experiments ---------------------------------------------------------------------------------


def figure(options: argparse.Namespace) -> None:
    """A claim's figure for a slide, with the command and the version in its caption; without an id, a list."""
    from pathlib import Path

    from zoo.lectures.ledger import chosen
    from zoo.lectures.pages import has_figure, row

    ids = words(options.ids)
    claims = chosen(ids)
    if not ids:
        claims = [one for one in claims if has_figure(one)]
        lines = [f"{one.id}  {one.lecture.name:9}  {one.says}" for one in claims]
        say([row(one) for one in claims], "\n".join(lines), options.json)
        return
    form = options.format or Path(options.output or "").suffix[1:].lower() or "svg"
    if form not in FORMATS:
        raise ConfigError(f"unknown format {form!r}; valid: {', '.join(FORMATS)}")
    if options.output and len(claims) > 1:
        raise ConfigError(f"--output names one file, but these are {len(claims)} figures; leave it out")
    for one in claims:
        if not has_figure(one):
            raise ConfigError(f"claim {one.id} has no figure; zoo figure lists those that have one")
    for one in claims:
        path = Path(options.output or f"{one.id}.{form}")
        draw(one.id, form, path)
        say({"claim": one.id, "figure": str(path)}, str(path), options.json)


def draw(id: str, form: str, path: "Path") -> None:
    """Draw a claim's figure and write it. Raises OutputError."""
    import io

    import matplotlib
    import torch

    from zoo import __version__
    from zoo.checkpoint import write_whole
    from zoo.lectures.pages import load_drawings

    drawing = load_drawings()[id]
    torch.manual_seed(0)  # the same figure every time
    drawn = drawing()
    drawn.get_layout_engine().set(h_pad=0.08)  # inches, for a title and a caption that touch nothing
    drawn.supxlabel(f"zoo figure {id}   lecture-zoo {__version__}", x=0.99, ha="right", fontsize=8, color="#777777")
    raw = io.BytesIO()
    metadata = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}, "pdf": {"CreationDate": None}}
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "zoo"}):
        drawn.savefig(raw, format=form, dpi=200, metadata=metadata[form])
    write_whole(path, raw.getvalue())


def trace(options: argparse.Namespace) -> None:
    """Forward, backward and update of a small network, number by number; without a name, a list."""
    from zoo.lectures.traces import TRACES
    from zoo.lectures.traces import trace as traced

    if options.format not in WRITINGS:
        raise ConfigError(f"unknown format {options.format!r}; valid: {', '.join(WRITINGS)}")
    if not options.name:
        boards = [traced(name) for name in TRACES]
        rows = [{"name": one.name, "title": one.title, "source": one.source} for one in boards]
        say(rows, "\n".join(f"{one.name:11}  {one.title} ({one.source})" for one in boards), options.json)
        return
    one = traced(options.name)
    if options.json or options.format == "json":
        print(json.dumps(one.to_dict()))
    else:
        print(one.latex() if options.format == "latex" else one.text())


def reproduce(options: argparse.Namespace) -> None:
    """Train experiments and compare with what they promise; exit code 1 where one is missed."""
    from zoo import reproduce as work

    names = work.named(words(options.experiments), options.lecture, options.all)
    if options.seeds < 1:
        raise ConfigError(f"--seeds must be >= 1, got {options.seeds}")
    rows: list[work.Row] = []
    code = 0
    try:
        for i, name in enumerate(names, 1):
            print(f"{i}/{len(names)}: {name}", file=sys.stderr)
            rows.append(work.reproduce(name, options.seeds))
            code = code or int(rows[-1].verdict != work.PASS)
    except Stopped as stopped:  # what is finished is told all the same
        print(stopped, file=sys.stderr)
        code = stopped.exit_code
    if rows:
        say([r._asdict() for r in rows], work.markdown(rows) if options.markdown else work.table(rows), options.json)
    if code:
        sys.exit(code)
