"""Trains an experiment anew and keeps the result line of every seed: `python tests/evidence/record.py mnist_lenet`.

The lines go to tests/evidence/<experiment>.jsonl; the headers of the experiments and the README quote them, and
tests/test_readme.py holds text and lines equal. `python tests/evidence/record.py` alone prints what they say.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SEEDS = {  # else 3
    "xor_mlp": 100,
    "mnist_fast": 10,
    "digits_lenet": 10,
    "abc_rnn": 10,
    "digits_transfer": 10,
    "shakespeare_lstm": 1,  # more than ten minutes
    "shakespeare_gru": 1,
    "shakespeare_transformer": 1,
    "multi30k_transformer": 1,
    "multi30k_gru_attention": 1,
}


def record(experiment: str) -> None:
    """Train with every seed and keep the result lines, without what says only where files lay."""
    kept = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(SEEDS.get(experiment, 3)):
            command = [sys.executable, str(ROOT / "train.py"), f"experiment={experiment}", f"seed={seed}", "logger=csv"]
            started = time.perf_counter()
            done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
            result = json.loads(done.stdout)
            result["seconds"]["command"] = round(time.perf_counter() - started, 2)
            kept.append(json.dumps({k: v for k, v in result.items() if k not in ("checkpoint", "figures")}))
    (HERE / f"{experiment}.jsonl").write_text("\n".join(kept) + "\n")


def evidence(experiment: str) -> list[dict[str, Any]]:
    """The kept result lines."""
    return [json.loads(line) for line in (HERE / f"{experiment}.jsonl").read_text().splitlines()]


def summary(experiment: str) -> str:
    """`0.9884 ± 0.0012 (n = 10)`: mean, standard deviation where there is one, and number of the promised metric."""
    lines = evidence(experiment)
    (metric,) = lines[0]["expect"]
    values = [line["metrics"][metric] for line in lines]
    spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{spread} (n = {len(values)})"


def seconds(experiment: str) -> str:
    """`9 s`: the median time of the whole command."""
    return f"{statistics.median(line['seconds']['command'] for line in evidence(experiment)):.0f} s"


def header(experiment: str) -> str:
    """The lines that stand in the header of the experiment's YAML."""
    lines = evidence(experiment)
    machine = lines[0]["machine"]
    (metric, (low, high)) = next(iter(lines[0]["expect"].items()))
    threads = f"{machine['threads']} thread" + "s" * (machine["threads"] > 1)
    return (
        f"#   python train.py experiment={experiment}\n"
        f"# Hardware: {machine['processor']}, {threads}, torch {machine['torch']}. Time: {seconds(experiment)}.\n"
        f"# Result: {metric} {summary(experiment)}; promised {low:g} to {high:g}.\n"
    )


def draw() -> None:
    """The README's figure, as SVG, which is text."""
    import matplotlib
    import torch

    import zoo
    from zoo.plane_figures import decision_regions
    from zoo.registry import build

    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / "train.py"), "experiment=pass_class_mlp", f"run_dir={folder}/run"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        network = zoo.load(f"{folder}/run")
    data = build("data", "pass_class", {})
    data.load()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "zoo"}), torch.no_grad():
        figure = decision_regions(network, data, "pass_class_mlp", points=31)
        figure.savefig(HERE / "pass_class_mlp.svg", metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    for name in sys.argv[1:]:
        record(name)
        if name == "pass_class_mlp":
            draw()
    for path in sorted(HERE.glob("*.jsonl")):
        print(f"{path.stem:20} {summary(path.stem)}  {seconds(path.stem)}")
