"""The card of a trained network: what it is, what it was trained on and how, how good it is, and what it is not for.

A card is a dictionary of plain values that travels in the network's file; `text` shows it, `markdown` makes the page
that the Hugging Face Hub and GitHub show.
"""

import hashlib
import importlib
import inspect
import json
import re
import shutil
import statistics
import textwrap
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zoo.errors import CheckpointError, short
from zoo.evaluate import PLACES, metrics_of_test
from zoo.experiments import config_names, experiment_title

LICENCE = "MIT"  # of the weights that are trained here, as of the code
LONG = 40  # letters, or entries, of an argument that is not shown whole
HEADING = 17  # letters of a heading in the terminal: test/acc_of_bayes
FILE_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
LEFT_OUT = ("run_dir", "logger", "figures", "trainer.progress", "data.root", "data.cache", "ckpt_path")
UNSAID = ("fingerprint", "stopped_early", "metrics", "processes")  # of a checkpoint: what only a run needs


def card_of(
    name: str,
    network: nn.Module,
    about: dict[str, Any],
    data: Any,
    result: dict[str, Any],
    results: list[dict[str, Any]],
    limits: str,
) -> dict[str, Any]:
    """The card of a run's network, all but its own figures, which are measured last.

    about: what the run's checkpoint says. data: its data set, loaded. result: the run's result line. results: those of
    its experiment, one per seed. limits: what the network is not good for, in a person's words.
    """
    kept = {key: value for key, value in about.items() if key not in UNSAID}
    return {
        **kept,
        **of_result(about, result),
        "name": name,
        "data_arguments": {key: value for key, value in about["data_arguments"].items() if key not in PLACES},
        "transform": data.transform,
        "data_licence": data.licence,
        "data_sha256": checksum(data),
        "seeds": over_seeds(results),
        "parameters": sum(p.numel() for p in network.parameters()),
        "licence": LICENCE,
        "source": part_of_docstring(network, "Source"),
        "deviations": part_of_docstring(network, "Differs"),
        "limits": limits,
    }


def of_result(about: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """What a run's result line adds to what its checkpoint says."""
    return {
        "title": title_of(about),
        "command": command_of(result),
        "promised": result["expect"],
        "hardware": hardware(result),
        "minutes": round(seconds(result) / 60, 2),
    }


def with_result(content: dict[str, Any], run: Path) -> dict[str, Any]:
    """The content of a run's checkpoint, its card with what result.json says of it, where the run has been finished."""
    try:
        result = json.loads((run / "result.json").read_text(encoding="utf-8"))
        told = of_result(content["zoo"], result)
        told["metrics"] = {name: float(value) for name, value in result["metrics"].items()}
        told["parameters"] = int(result["parameters"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return content  # stopped before its end, or not this zoo's: the checkpoint says enough to be loaded
    return content | {"zoo": content["zoo"] | told}


def file_name(text: Any) -> str:
    """A text of somebody's file as the name of a file here: nothing that leads elsewhere."""
    return text if isinstance(text, str) and FILE_NAME.fullmatch(text) else "network"


def plain(value: Any) -> str:
    """A text of somebody's file as one line that does nothing to a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())


def title_of(about: dict[str, Any]) -> str:
    """What the experiment says of itself in `--help`."""
    experiment = about.get("experiment")
    return experiment_title(experiment) if experiment in config_names() else f"{about['model']} on {about['data']}"


def command_of(result: dict[str, Any]) -> str:
    """The command that trains it, without what changes no number."""
    given = [text for text in result["overrides"] if text.partition("=")[0] not in LEFT_OUT]
    seed = [] if any(text.startswith("seed=") for text in given) else [f"seed={result['seed']}"]
    return " ".join(["python train.py", *given, *seed])


def over_seeds(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean, standard deviation and number of each promised metric over the result lines, and their seeds."""
    told = {}
    for metric in results[0]["expect"]:
        values = [line["metrics"][metric] for line in results]
        spread = statistics.stdev(values) if len(values) > 1 else None
        told[metric] = {"mean": round(statistics.mean(values), 6), "std": spread and round(spread, 6), "n": len(values)}
    return {"seeds": [line["seed"] for line in results], **told}


def hardware(result: dict[str, Any]) -> str:
    """`AMD EPYC, 1 thread, torch 2.13.0+cpu`."""
    machine = result["machine"]
    threads = f"{machine['threads']} thread{'s' * (machine['threads'] > 1)}"
    return f"{machine['processor']}, {threads}, torch {machine['torch']}"


def seconds(result: dict[str, Any]) -> float:
    """The time of the whole command, where it was taken, else of its parts."""
    return result["seconds"].get("command") or sum(result["seconds"].values())


def part_of_docstring(network: nn.Module, part: str) -> str:
    """What follows `Differs:` and the like in the header of a model's file."""
    text = inspect.getdoc(importlib.import_module(type(network).__module__)) or ""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith(f"{part}:"):
            found = [line.removeprefix(f"{part}:")]
            for more in lines:
                if not more.startswith(" "):
                    break
                found.append(more)
            return " ".join(" ".join(found).split())
    return ""


def checksum(data: Any) -> str:
    """SHA-256 of the test items as numbers, so that a figure can be told to be of the same items.

    Rounded to a thousandth: another processor may scale a picture by another last bit.
    """
    digest = hashlib.sha256()
    for tensor in data.test:
        if tensor.is_floating_point():
            tensor = (tensor.double() * 1000).round().to(torch.int64)
        digest.update(tensor.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()


# --- a card to be read --------------------------------------------------------------------------------------------


def lines_of(card: dict[str, Any]) -> list[tuple[str, str]]:
    """What a person wants to know, as pairs of a heading and a text; what a card does not say is left out.

    Raises CheckpointError for a card that nobody of the zoo has written.
    """
    try:
        return told_by(card)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise CheckpointError(f"the card is not in order: {type(error).__name__}: {str(error)[:80]}") from error


def told_by(card: dict[str, Any]) -> list[tuple[str, str]]:
    """The same of a card in order."""
    told: list[tuple[str, str]] = []

    def tell(heading: str, text: Any) -> None:
        if text not in (None, "", {}, []):
            told.append((plain(heading), plain(text)))

    arguments = ", ".join(f"{key}={brief(value)}" for key, value in card.get("arguments", {}).items())
    tell("network", f"{card['model']}({arguments})")
    tell("parameters", f"{card['parameters']:,}" if "parameters" in card else "")
    for name, value in main_metrics(card).items():
        promise = card.get("promised", {}).get(name)
        covered = (card["metrics"].get(f"{name}/{part}") for part in ("covered", "total"))
        over = " of {:g} of the {:g} that there are".format(*covered) if f"{name}/covered" in card["metrics"] else ""
        promised = f", promised {promise[0]:g} to {promise[1]:g}" if promise else ""
        tell(name, f"{number(value)}{over}{promised}")
    tell("over seeds", over_seeds_of(card))
    tell("trained by", card.get("command"))
    if "hardware" in card:
        minutes = card["minutes"]
        time = f"{minutes:.1f} minutes" if minutes >= 1 else f"{60 * minutes:.0f} s"
        tell("took", f"{time} on {card['hardware']}")
    settings = ", ".join(f"{key}={brief(value)}" for key, value in card.get("data_arguments", {}).items())
    of_data = f", licence: {card['data_licence']}" if "data_licence" in card else ""
    tell("data", f"{card['data']}({settings}){of_data}" if "data" in card else "")
    tell("test items", f"SHA-256 {card['data_sha256']}" if "data_sha256" in card else "")
    tell("source", card.get("source"))
    tell("deviations", card.get("deviations"))
    tell("limits", card.get("limits"))
    stored = card.get("store")
    licence = f"licence {card['licence']}" if "licence" in card else ""
    tell("weights", ", ".join(filter(None, (stored and f"stored as {stored}", licence))))
    tell("version", f"zoo {card['version']}, torch {card['torch']}" if "torch" in card else "")
    return told


def main_metrics(card: dict[str, Any]) -> dict[str, float]:
    """Of a card's metrics those that fit on a page: promised ones, loss and accuracy, and the summaries of others."""
    metrics = metrics_of_test(card)
    return {name: value for name, value in metrics.items() if name.count("/") == 1 and "_gap_" not in name}


def headline(card: dict[str, Any]) -> str:
    """The promised metric: `test/acc 0.9922`."""
    return ", ".join(f"{name} {number(card['metrics'][name])}" for name in card["promised"])


def number(value: float) -> str:
    """`0.9922`, and of a count `96`."""
    return f"{value:g}" if value >= 10 else f"{value:.4f}"


def brief(value: Any) -> str:
    """An argument; of a vocabulary how large it is."""
    if isinstance(value, str) and len(value) > LONG:
        return f"<{len(value)} characters>"
    return f"<{len(value):,} of them>" if isinstance(value, list) and len(value) > LONG else short(value)


def escaped(text: str) -> str:
    """A text in a cell of Markdown's."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")


def over_seeds_of(card: dict[str, Any]) -> str:
    """`test/acc 0.9923 ± 0.0006 (n = 3), seeds 0 to 2`."""
    seeds = card.get("seeds", {})
    told = []
    for metric, found in seeds.items():
        if metric != "seeds":
            spread = f" ± {found['std']:.4f}" if found["std"] is not None else ""
            told.append(f"{metric} {found['mean']:.4f}{spread} (n = {found['n']}), seeds {listed(seeds['seeds'])}")
    return "; ".join(told)


def listed(numbers: list[int]) -> str:
    """`0 to 9`, or `0, 5, 7`."""
    if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers))


def text(card: dict[str, Any]) -> str:
    """A card for the terminal, as wide as that is."""
    head = plain(": ".join(str(card[key]) for key in ("name", "title") if key in card) or card["model"])
    width = max(60, min(120, shutil.get_terminal_size((100, 24)).columns))
    lines = []
    for heading, told in lines_of(card):
        start = f"  {heading:{HEADING}} "
        options = {"break_long_words": False, "break_on_hyphens": False}
        lines.append(textwrap.fill(told, width, initial_indent=start, subsequent_indent=" " * len(start), **options))
    return "\n".join([textwrap.fill(head, width), *lines])


def markdown(card: dict[str, Any]) -> str:
    """A card as a page, with the header that the Hugging Face Hub reads."""
    name, licence = (plain(card.get(key, other)) for key, other in (("name", card["model"]), ("licence", LICENCE)))
    head = [
        "---",
        f"license: {licence.lower()}",
        "library_name: lecture-zoo",
        "tags:",
        f"- {plain(card['model'])}",
        "---",
    ]
    head += ["", f"# {name}", "", escaped(plain(card.get("title", ""))), ""]
    load = f'net = zoo.load("hf://OWNER/{name}")  # or the folder that this page lies in'
    code = ["```python", "import zoo", "", load, "```", ""]
    rows = [f"| {escaped(heading)} | {escaped(told)} |" for heading, told in lines_of(card)]
    return "\n".join([*head, *code, "| | |", "|---|---|", *rows, ""])
