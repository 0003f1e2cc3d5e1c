"""`zoo list`, `zoo predict`, ...: what one does with trained networks, in a shell.

Each command is a function that prints; most print plain values instead with --json. Imports what it needs when it is
called.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import CheckpointError, ConfigError, DataError

if TYPE_CHECKING:
    from torch import nn


def add_commands(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Enter the commands; `add` is that of zoo/shell.py."""
    add(list_)
    add(show, "source")
    one = add(predict, "source")
    one.add_argument("items", nargs="+", metavar="FILE", help="pictures, folders or .zip files of them, MNIST's own "
                     "files (idx, .gz), arrays (.npy); of other networks numbers such as 4,5, or texts")  # fmt: skip
    one = add(generate, "source", values=False)
    one.add_argument("--prompt", default=None, help="what the text begins with; default: a newline")
    one.add_argument("--length", type=int, default=400, help="characters (default: 400)")
    one.add_argument("--temperature", type=float, default=0.8, help="0: always the likeliest (default: 0.8)")
    one.add_argument("--top-k", type=int, default=None, help="draw among the k likeliest only")
    one.add_argument("--seed", type=int, default=None, help="for the same text again; default: another each time")
    one = add(nearest, "source", "word")
    one.add_argument("--count", type=int, default=10, help="words (default: 10)")
    one = add(analogy, "source", "a", "b", "c")
    one.add_argument("--count", type=int, default=5, help="words (default: 5)")
    one = add(evaluate, "source")
    one.add_argument("--root", help="folder of the data; default: ZOO_DATA_DIR, else data/cache")
    one = add(export, "source", values=False)
    one.add_argument("--to", required=True, help="onnx, torchscript or json")
    one.add_argument("--output", help="the file; default: NAME.onnx, NAME.pt or NAME.json here")
    add(card, "source")
    one = add(publish, values=False)
    one.add_argument("run", metavar="RUN", help="a finished run's directory")
    one.add_argument("--to", default="published", help="folder for it (default: published)")
    one.add_argument("--name", help="default: the experiment's, with hyphens")
    one.add_argument("--store", default="float32", help="float32, float16 or int8, for large weights")
    one.add_argument("--words", type=int, help="keep so many word vectors, the commonest")
    one.add_argument("--limits", default="", help="what the network is not good for, in your words")
    one.add_argument("--results", help="a file with a result line per seed, for mean and spread")
    one.add_argument("--root", help="folder of the data; default: ZOO_DATA_DIR, else data/cache")
    one.add_argument("--push", metavar="OWNER/NAME", help="send the folder to the Hugging Face Hub")


def say(values: Any, text: str, as_json: bool) -> None:
    """Print one of the two."""
    print(json.dumps(values) if as_json else text)


# --- looking ------------------------------------------------------------------------------------------------------


def list_(options: argparse.Namespace) -> None:
    """The trained networks that ship with the zoo."""
    from importlib.resources import files

    from zoo.card import headline
    from zoo.pretrained import index
    from zoo.weight_files import read_card_of

    folder = Path(str(files("zoo.weights")))
    cards = {name: read_card_of(folder / f"{name}.safetensors") for name in index()}
    rows = [
        {"name": name, "model": c["model"], "bytes": index()[name]["bytes"], "figure": headline(c), "title": c["title"]}
        for name, c in cards.items()
    ]
    width = max((len(row["name"]) for row in rows), default=0)
    lines = [f"{r['name']:{width}}  {r['bytes'] / 1e3:7,.0f} kB  {r['figure']:<26}  {r['title']}" for r in rows]
    say(rows, "\n".join(lines), options.json)


def show(options: argparse.Namespace) -> None:
    """A network's card, and its layers with the arithmetic of their sizes."""
    import zoo
    from zoo.card import text

    network = zoo.load(options.source)
    layers = zoo.inspect(network)
    values = {"card": network.card, "layers": layers.to_dict()}
    say(values, f"{text(network.card)}\n\n{layers}", options.json)


def card(options: argparse.Namespace) -> None:
    """A network's card as a page in Markdown."""
    from zoo.card import markdown
    from zoo.pretrained import read

    about = read(options.source)["zoo"]
    say(about, markdown(about), options.json)


# --- asking -------------------------------------------------------------------------------------------------------

VERBS = ("predict", "generate", "nearest", "analogy", "reconstruct", "translate")


def having(source: str, verb: str) -> Any:
    """A trained network that has the verb. Raises CheckpointError for another."""
    import zoo

    network = zoo.load(source)
    if not hasattr(network, verb):
        has = [name for name in VERBS if hasattr(network, name)]
        can = f"; it has {', '.join(has)}" if has else ""
        raise CheckpointError(f"{source} (model {network.card['model']}) has no {verb}{can}")
    return network


def predict(options: argparse.Namespace) -> None:
    """The class of pictures, numbers or texts, and how sure the network is."""
    network = having(options.source, "predict")
    wrong: list[DataError] = []
    for name, answer in answers(network, options.items):
        if isinstance(answer, DataError):
            wrong.append(answer)
            print(f"error: {answer}", file=sys.stderr)
        else:
            print(json.dumps({"item": name, **answer._asdict()}) if options.json else f"{name}: {answer}")
    if wrong:
        raise DataError(f"{len(wrong)} could not be read")


def answers(network: "nn.Module", given: list[str]) -> Iterator[tuple[str, Any]]:
    """Each item's name and its Prediction, or why it has none; of folders and archives some at a time."""
    from zoo.items import found_in

    pictures = network.transform.get("kind") == "image"
    for one in given:
        try:
            for names, items in found_in(one, network.transform) if pictures else [([one], [one])]:
                yield from [(names[0], items)] if isinstance(items, DataError) else judged(network, names, items)
        except DataError as error:
            yield one, error


def judged(network: "nn.Module", names: list[str], items: Any) -> list[tuple[str, Any]]:
    """The predictions of some items; where one of them cannot be read, of the others all the same."""
    try:
        return list(zip(names, network.predict_all(items), strict=True))
    except DataError as error:
        if len(names) == 1:
            return [(names[0], error if names[0] in str(error) else DataError(f"{names[0]}: {error}"))]
        return [pair for i, name in enumerate(names) for pair in judged(network, [name], items[i : i + 1])]


def generate(options: argparse.Namespace) -> None:
    """A text that goes on from a prompt, character by character."""
    import torch

    if options.seed is not None and not 0 <= options.seed < 2**63:
        raise ConfigError(f"--seed must lie in 0 .. 2^63 - 1, got {options.seed}")
    network = having(options.source, "generate")
    generator = torch.Generator()
    prompt = "\n" if options.prompt is None else options.prompt
    try:
        generator.manual_seed(options.seed) if options.seed is not None else generator.seed()
        letters = network.generate(prompt, options.length, options.temperature, options.top_k, generator)
        print(prompt, end="")
        for letter in letters:
            print(letter, end="", flush=True)
    except (ValueError, RuntimeError) as error:  # torch's, for a temperature whose quotients are no numbers
        raise DataError(str(error).splitlines()[0]) from error
    print()


def nearest(options: argparse.Namespace) -> None:
    """The words of the largest cosine to a word."""
    tell_words(options, "nearest", options.word)


def analogy(options: argparse.Namespace) -> None:
    """What is to C as A is to B: `zoo analogy english-skipgram king man woman`."""
    tell_words(options, "analogy", options.a, options.b, options.c)


def tell_words(options: argparse.Namespace, name: str, *words: str) -> None:
    """Words and cosines."""
    try:
        found = getattr(having(options.source, name), name)(*words, options.count)
    except ValueError as error:
        raise DataError(str(error)) from error
    say(found, "\n".join(f"{cosine:6.3f}  {word}" for word, cosine in found), options.json)


# --- measuring, giving away ---------------------------------------------------------------------------------------


def evaluate(options: argparse.Namespace) -> None:
    """A network's figures, measured anew on the test set of its card; exit code 1 where the card says others."""
    import zoo
    from zoo.card import checksum
    from zoo.evaluate import data_of, disagreements, metrics_of_test
    from zoo.evaluate import evaluate as measure

    network = zoo.load(options.source)
    data = data_of(network.card, options.root)
    if network.card.get("data_sha256") not in (None, checksum(data)):
        print("the test items here are others than those of the card: its figures need not hold", file=sys.stderr)
    found = measure(network, data)
    stated = metrics_of_test(network.card)
    wrong = disagreements(stated, found)
    if not stated:
        print("its card says no figures of the test set: nothing is compared", file=sys.stderr)
    precision = (network.card.get("trainer") or {}).get("precision", "32-true")
    if "store" not in network.card and precision != "32-true":
        print(f"the run was tested in {precision}, this is in 32-true", file=sys.stderr)
    rows = []
    for name, value in found.items():
        rows.append(f"{name:32} {value:10.4f}" + (f"   card: {stated[name]:.4f}" if name in stated else ""))
    say({"found": found, "card": stated, "disagreements": wrong}, "\n".join(rows), options.json)
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        sys.exit(1)


def export(options: argparse.Namespace) -> None:
    """A network in a format of others: onnx, torchscript, json."""
    import zoo
    from zoo.card import file_name
    from zoo.export import export as write

    network = zoo.load(options.source)
    ending = {"torchscript": "pt"}.get(options.to, options.to)
    path = Path(options.output or f"{file_name(network.card.get('name') or Path(options.source).stem)}.{ending}")
    print(write(network, path, options.to))


def publish(options: argparse.Namespace) -> None:
    """A run's network with its card, measured and ready to ship: .safetensors, config.json, README.md."""
    from zoo.publish import publish as write

    folder = write(
        options.run, options.to, options.name, options.store, options.words,
        options.limits, options.results, options.root,
    )  # fmt: skip
    print(folder)
    if options.push:
        from zoo.hub import push

        print(push(folder, options.push))
