"""The promised results, measured anew: `pytest -m slow`, about half an hour on one core, MNIST needed for most."""

import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
from conftest import RUNNABLE
from record import SEEDS


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", RUNNABLE)
def test_the_mean_over_seeds_is_what_was_promised(name: str, train: Callable[..., dict[str, Any]]) -> None:
    results = [
        train(f"experiment={name}", f"seed={seed}", "figures=false", "logger=csv") for seed in range(SEEDS.get(name, 3))
    ]
    for metric, (low, high) in results[0]["expect"].items():
        values = [result["metrics"][metric] for result in results]
        print(f"{name}: {metric} {statistics.mean(values):.4f}, {min(values):.4f} to {max(values):.4f}")
        assert low <= statistics.mean(values) <= high
    if name == "xor_mlp":
        assert all(result["pass"] for result in results)  # 100 of 100
    if name.startswith("xor_2_2_1"):
        assert all(result["seconds"]["fit"] < 10 for result in results)  # 1,000 starts
    if name == "pass_class_mlp":
        assert all(result["metrics"]["test/p(4,5)"] > 0.8 for result in results)


@pytest.mark.slow
def test_the_default_command_is_done_within_half_a_minute(
    shell: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    started = time.perf_counter()
    done = shell()
    assert done.returncode == 0, done.stderr
    assert time.perf_counter() - started < 30
