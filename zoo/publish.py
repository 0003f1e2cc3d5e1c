"""`zoo publish RUN`: out of a run's directory a folder to give away, with the weights, their card and its page.

The figures of the card are those of the published file itself: it is read back, as rounded as it was stored, and
tested.
"""

import json
from pathlib import Path
from typing import Any

from zoo.card import card_of, file_name, markdown
from zoo.checkpoint import read_checkpoint, read_file, write_whole
from zoo.errors import CheckpointError, ConfigError, OutputError
from zoo.evaluate import data_of, evaluate
from zoo.pretrained import PUBLISHED, built
from zoo.registry import nearest
from zoo.weight_files import STORES, packed, read_card, unpacked


def publish(
    run: str | Path,
    to: str | Path,
    name: str | None = None,
    store: str = "float32",
    words: int | None = None,
    limits: str = "",
    results: str | Path | None = None,
    root: str | None = None,
) -> Path:
    """Write `to`/`name`/ with model.safetensors, config.json and README.md; gives that folder.

    run: directory of a finished run. name: None: its experiment's, with hyphens.
    store: float32 | float16 | int8, of the weights of a thousand numbers and more.
    words: how many word vectors are kept, the commonest; None: all.
    limits: what the network is not good for. results: a file with a result line per seed; None: the run's own alone.
    root: folder of the data.
    Raises CheckpointError for what is no finished run, ConfigError, DataError, OutputError.
    """
    if store not in STORES:
        raise ConfigError(f"unknown store {store!r}{nearest(store, STORES)}; valid: {', '.join(STORES)}")
    own = result_lines(Path(run) / "result.json")[0]
    lines = result_lines(Path(results)) if results else [own]
    if other := [line["experiment"] for line in lines if line["experiment"] != own["experiment"]]:
        raise ConfigError(f"{results} holds results of {other[0]}, the run is of {own['experiment']}")
    name = name or file_name(own["experiment"].replace("_", "-"))
    folder = Path(to) / name
    if (folder / PUBLISHED).exists():  # said before minutes of measuring
        raise OutputError(f"{folder} holds a published network; choose another --name or --to, or take it away")
    content = read_checkpoint(run)
    if words is not None:
        content = with_fewer_words(content, words)
    data = data_of(content["zoo"], root)
    network = built(content, run)
    card = card_of(name, network, content["zoo"], data, own, lines, limits)
    rounded = built(unpacked(packed(network, card, store), name), name)  # as whoever loads it will have it
    card["metrics"] = evaluate(rounded, data)
    write_folder(folder, packed(network, card, store))
    return folder


def write_folder(folder: Path, raw: bytes) -> None:
    """The three files of a published network: the bytes of its weights, and of its card what others look for."""
    card = read_card(raw, PUBLISHED)
    config = {key: card[key] for key in ("format", "model", "arguments")}
    write_whole(folder / PUBLISHED, raw)
    write_whole(folder / "config.json", (json.dumps(config, indent=1) + "\n").encode())
    write_whole(folder / "README.md", markdown(card).encode())


def result_lines(path: Path) -> list[dict[str, Any]]:
    """The result lines of a file, `result.json` or one per seed. Raises CheckpointError."""
    try:
        lines = [json.loads(line) for line in read_file(path).decode().splitlines()]
        for line in lines:
            _ = line["expect"], line["metrics"], line["machine"], line["seconds"], line["overrides"], line["seed"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} is not what a finished run has written: {error}") from error
    if not lines:
        raise CheckpointError(f"{path} is empty")
    return lines


def with_fewer_words(content: dict[str, Any], count: int) -> dict[str, Any]:
    """The content of a checkpoint of word vectors with its `count` commonest words. Raises ConfigError."""
    about, weights = content["zoo"], content["state_dict"]
    arguments = about["arguments"]
    total = len(arguments.get("words", []))
    if not 2 <= count <= total or arguments.get("objective") == "hierarchical_softmax":
        raise ConfigError(
            f"words must be 2 to {total:,}, of word vectors whose rows are words (not of a hierarchical softmax), "
            f"got {count:,}"
        )
    arguments = arguments | {key: arguments[key][:count] for key in ("words", "counts")}
    data_arguments = about["data_arguments"] | {"max_vocab_size": count}
    return {
        "zoo": about | {"arguments": arguments, "data_arguments": data_arguments},
        "state_dict": {name: rows[:count] for name, rows in weights.items()},
    }
