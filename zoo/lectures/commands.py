"""`zoo ledger`, `zoo errata`, `zoo figure`, `zoo trace`, `zoo reproduce`: the lectures in a shell.

Each prints plain values instead of text with --json. Imports what it needs when it is called.
"""

import argparse
import gc
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from zoo.errors import ConfigError

if TYPE_CHECKING:
    from zoo.lectures.ledger import Claim, Outcome

FORMATS = ("svg", "png", "pdf")
WRITINGS = ("text", "latex", "json")


def add_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Enter the commands; `add(function)` makes a parser with that name and --json."""
    one = add(ledger)
    one.add_argument("ask", nargs="*", metavar="[check | show] [ID ...]", help="check: compute anew, exit code 1 where "
                     "a verdict no longer holds; show: the derivation with its numbers, the code")  # fmt: skip
    one.add_argument("--slide", help="of that slide only")
    one.add_argument("--verdict", help="of that verdict only, such as wrong")
    one.add_argument("--topic", help="of that topic only, such as convolution")
    one.add_argument("--lecture", help="cyprus, prague, barcelona, shanghai or bombay")
    one.add_argument("--quick", action="store_true", help="only those that train nothing")
    one.add_argument("--markdown", action="store_true", help="the page docs/ledger.md")
    one = add(errata)
    one.add_argument("--lecture", help="cyprus, prague, barcelona, shanghai or bombay; default: all")
    one = add(figure)
    one.add_argument("id", metavar="ID", help="of a claim that has a figure; zoo ledger show ID says so")
    one.add_argument("--format", default="svg", help=f"{', '.join(FORMATS)} (default: svg)")
    one.add_argument("--output", help="the file; default: ID.FORMAT here")
    one = add(trace)
    one.add_argument("name", metavar="NAME", help="xor, chain, rnn, bptt, lstm, attention, convolution")
    one.add_argument("--format", default="text", help="text, latex, json (default: text)")
    one = add(reproduce)
    one.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help="names, as python train.py --help lists them")
    one.add_argument("--lecture", help="those that show its claims")
    one.add_argument("--all", action="store_true", help="every one: hours")
    one.add_argument("--seeds", type=int, default=1, help="runs of each, seeds 0, 1, ... (default: 1)")
    one.add_argument("--markdown", action="store_true", help="the table as Markdown, for a README")


def say(values: Any, text: str, as_json: bool) -> None:
    """Print one of the two."""
    print(json.dumps(values) if as_json else text)


def ledger(options: argparse.Namespace) -> None:
    """What the slides say, computed: a table; `check` and `show`; U01 .. I38."""
    from zoo.lectures.ledger import check, chosen
    from zoo.lectures.pages import explained, load_drawings, markdown, row, table

    words = list(options.ask)
    verb = words.pop(0) if words and words[0] in ("check", "show") else None
    claims = chosen(words, options.lecture, options.slide, options.verdict, options.topic)
    if options.quick:
        claims = [one for one in claims if not one.trains]
    if verb == "check":
        check_all(claims, options.json)
    elif verb == "show":
        if not words:
            raise ConfigError("zoo ledger show wants an id, such as C38; zoo ledger lists them")
        load_drawings()
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
    """Compute each, say how it went, and exit with 1 where one fails."""
    from zoo.lectures.ledger import check

    gc.enable()  # networks are made and dropped here
    outcomes = []
    for one in claims:
        outcomes.append(check(one))
        if not as_json:
            print(line_of(outcomes[-1]), flush=True)
    failed = [outcome.claim.id for outcome in outcomes if outcome.problems]
    computed = sum(outcome.claim.compute is not None for outcome in outcomes)
    if as_json:
        print(json.dumps([told(outcome) for outcome in outcomes]))
    else:
        held = "all of them hold" if not failed else f"{len(failed)} no longer hold: {', '.join(failed)}"
        seconds = sum(outcome.seconds for outcome in outcomes)
        print(f"{computed} of {len(outcomes)} rows computed in {seconds:.1f} s; {held}")
    if failed:
        sys.exit(1)


def line_of(outcome: "Outcome") -> str:
    """`C38  ok                289,630  0.02 s`."""
    from zoo.lectures.ledger import shown

    one = outcome.claim
    if outcome.problems:
        return f"{one.id:4} FAILS             " + "; ".join(outcome.problems)
    if not one.compute:
        return f"{one.id:4} {one.verdict:17} not computed: {one.why}"
    return f"{one.id:4} {one.verdict:17} {shown(outcome.value)}  ({outcome.seconds:.2f} s)"


def errata(options: argparse.Namespace) -> None:
    """What to correct on which slide, with the computation: a page per lecture, in Markdown."""
    from zoo.lectures import pages
    from zoo.lectures.ledger import TO_CORRECT, check, chosen

    claims = [one for one in chosen(lecture=options.lecture) if one.verdict in TO_CORRECT]
    outcomes = [check(one) for one in claims]
    say([told(outcome) for outcome in outcomes], pages.errata(outcomes), options.json)


def figure(options: argparse.Namespace) -> None:
    """A claim's figure for a slide, with the command and the version in its caption."""
    import io
    from pathlib import Path

    import matplotlib
    import torch

    from zoo import __version__
    from zoo.checkpoint import write_whole
    from zoo.lectures.ledger import chosen
    from zoo.lectures.pages import load_drawings

    (one,) = chosen([options.id])
    if options.format not in FORMATS:
        raise ConfigError(f"unknown format {options.format!r}; valid: {', '.join(FORMATS)}")
    drawings = load_drawings()
    if one.id not in drawings:
        raise ConfigError(f"claim {one.id} has no figure; those that have: {', '.join(sorted(drawings))}")
    torch.manual_seed(0)  # the same figure every time
    drawn = drawings[one.id]()
    drawn.supxlabel(f"zoo figure {one.id}   lecture-zoo {__version__}", x=0.99, ha="right", fontsize=8, color="#777777")
    path = Path(options.output or f"{one.id}.{options.format}")
    raw = io.BytesIO()
    metadata = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}, "pdf": {"CreationDate": None}}
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "zoo"}):
        drawn.savefig(raw, format=options.format, dpi=200, metadata=metadata[options.format])
    write_whole(path, raw.getvalue())
    say({"claim": one.id, "figure": str(path)}, str(path), options.json)


def trace(options: argparse.Namespace) -> None:
    """Forward, backward and update of a small network, number by number: text, LaTeX or JSON."""
    from zoo.lectures.traces import trace as traced

    if options.format not in WRITINGS:
        raise ConfigError(f"unknown format {options.format!r}; valid: {', '.join(WRITINGS)}")
    one = traced(options.name)
    if options.json or options.format == "json":
        print(json.dumps(one.to_dict()))
    else:
        print(one.latex() if options.format == "latex" else one.text())


def reproduce(options: argparse.Namespace) -> None:
    """Train experiments and compare with what they promise; exit code 1 where one is missed."""
    from zoo import reproduce as work

    names = work.named(options.experiments, options.lecture, options.all)
    if options.seeds < 1:
        raise ConfigError(f"--seeds must be >= 1, got {options.seeds}")
    rows = []
    for i, name in enumerate(names, 1):
        print(f"{i}/{len(names)}: {name}", file=sys.stderr)
        rows.append(work.reproduce(name, options.seeds))
    say([r._asdict() for r in rows], work.markdown(rows) if options.markdown else work.table(rows), options.json)
    if not all(r.verdict == work.PASS for r in rows):
        sys.exit(1)
