"""docs/reliability.md, from the figures of a soak: `python -m tests.soak.page > docs/reliability.md`."""

import json
from pathlib import Path
from typing import Any

FIGURES = Path(__file__).parents[1] / "evidence" / "soak.json"  # python -m tests.soak --minutes 30 --others --json ...
PARTS = {"A": "Interruption", "B": "Checkpoint files", "C": "Data", "D": "Configuration", "E": "Numbers"}

INTRODUCTION = """\
# What happens when something goes wrong

Faults put into real trainings on purpose, over every model and data set of the zoo: a soak of {minutes:.0f} minutes,
seed {seed}, on {cores} cores (Python {python}, torch {torch}). "Right" is a trial in which the fault was taken as it
must be: the run goes on with the same bits, or ends with one line that says what was wrong, where and what is valid,
and the exit code of that kind ([runs.md](runs.md)); nothing is lost, nothing half-written is used, nothing in a file is
executed. Beside it, the same fault in other libraries, measured by the same script where they can be run.

```
python -m tests.soak --minutes 30 --others --json soak.json
python -m tests.soak --replay A1:17 --seed 0
```

The first puts in all faults in turn, and prints for each how many trials went right, with the command that repeats one
that did not; the second repeats a trial. The default tests hold a few trials of each.
"""

LIMITS = """\
Not covered, or not as good as it should be: power cuts, network file systems, GPUs and machines other than this kind
were not tried. A server that sends its headers byte by byte is waited for as long as it goes on. A process killed while
it decodes pictures or numbers words leaves a temporary folder in the cache, which is never used and never removed. A
checkpoint forged deep inside may fail with a traceback after its first step. A loss that is no number does not say in
which layer it began. The cost of guards, hashes and counters: [benchmarks](../tests/benchmarks/README.md).
"""


def page(found: dict[str, Any]) -> str:
    """The page, of the JSON of a soak."""
    lines = [INTRODUCTION.format(minutes=found["seconds"] / 60, seed=found["seed"], **found["machine"])]
    for letter, title in PARTS.items():
        lines += [f"## {letter}. {title}", "", "| | fault | right | elsewhere |", "|---|---|---|---|"]
        for id, fault in found["faults"].items():
            if id[0] == letter:
                counts = ", ".join(f"{count:,} {name}" for name, count in fault["counts"].items())
                what = fault["what"] + (f" ({counts})" if counts else "")
                others = "; ".join(elsewhere(row) for row in found["others"] if row["fault"] == id)
                lines.append(f"| {id} | {what} | {fault['right']} of {fault['trials']} | {others} |")
        lines.append("")
    total = [sum(fault[name] for fault in found["faults"].values()) for name in ("right", "trials")]
    return "\n".join([*lines, f"Together: {total[0]:,} of {total[1]:,} trials.\n", LIMITS])


def elsewhere(row: dict[str, Any]) -> str:
    """`torch.load 235 of 600: 365 damaged files are loaded without a word`."""
    share = f" {row['right']} of {row['trials']}" if row["trials"] else ""
    return f"{row['who']}{share}: {row['words']}".replace("|", "\\|")


if __name__ == "__main__":
    print(page(json.loads(FIGURES.read_text())), end="")
