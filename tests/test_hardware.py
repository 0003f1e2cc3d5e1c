"""The options of hardware change how fast a network learns, not what it learns."""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.checkpoint import read_checkpoint
from zoo.checks import check_hardware, uncompiled
from zoo.config import TrainerConfig, compose_settings
from zoo.errors import ConfigError

Train = Callable[..., dict[str, Any]]

# 1,071 digits: two steps of an epoch, the second one with fewer pictures.
CONVNET = ["model=lenet", "data=digits", "data.batch_size=600", "trainer.max_epochs=2", "optimizer=sgd",
           "optimizer.lr=0.05", "figures=false", "logger=csv", "trainer.progress=false"]  # fmt: skip

needs_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")


def weights(folder: str) -> dict[str, torch.Tensor]:
    return read_checkpoint(Path(folder) / "checkpoints" / "best.ckpt")["state_dict"]


def assert_same_learnt(train: Train, tolerance: float, *options: str) -> None:
    plain = train(*CONVNET, "run_dir=plain")
    other = train(*CONVNET, "run_dir=other", *options)
    assert plain["metrics"] == pytest.approx(other["metrics"], abs=tolerance)
    one, two = weights("plain"), weights("other")
    assert list(one) == list(two)  # no `_orig_mod.` among the names
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=tolerance, rtol=0, msg=name)


def test_channels_last_learns_the_same(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    conv2d = torch.nn.Conv2d.forward

    def watched(self: torch.nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        if x.shape[1] > 1 and torch.is_grad_enabled():  # with one channel both orders are the same
            seen.append([t.is_contiguous(memory_format=torch.channels_last) for t in (x, self.weight)])
        return conv2d(self, x)

    monkeypatch.setattr(torch.nn.Conv2d, "forward", watched)
    assert_same_learnt(train, 1e-5, "trainer.channels_last=true")
    assert seen == 4 * [[False, False]] + 4 * [[True, True]]
    for value in weights("other").values():
        assert value.ndim < 4 or value.shape[1] == 1 or value.is_contiguous(memory_format=torch.channels_last)


def assert_compiled_learns_the_same(train: Train) -> None:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    assert_same_learnt(train, 1e-4, "trainer.compile=true")
    graphs, breaks = (torch._dynamo.utils.counters[name] for name in ("stats", "graph_break"))
    # To train on 600 pictures, on any number of them, to validate, to test, and on very few: not one for each batch.
    assert 2 <= graphs["unique_graphs"] <= 5 and not breaks


deprecated_by_torch = pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning")  # of its own


@deprecated_by_torch
def test_a_compiled_network_learns_the_same(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the C++ compiler, which takes a minute: what it is given is run as it is."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    assert_compiled_learns_the_same(train)


@pytest.mark.slow
@needs_compiler
@deprecated_by_torch
def test_a_network_in_machine_code_learns_the_same(train: Train) -> None:
    assert_compiled_learns_the_same(train)


def test_what_changes_on_the_way_is_left_uncompiled(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    train("experiment=digits_sda", "trainer.compile=true", "trainer.max_epochs=4", "model.hidden_sizes=[5,5,5]",
          "model.pretraining_epochs=1", "figures=false", "logger=csv", "trainer.progress=false")  # fmt: skip
    assert "model=autoencoder_classifier is not compiled: it is trained in phases" in capsys.readouterr().err
    assert uncompiled(torch.nn.Linear(1, 1)) is None


def test_a_missing_compiler_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "PATH", "")
    with pytest.raises(ConfigError, match=r"trainer.compile=true needs a C\+\+ compiler"):
        check_hardware(TrainerConfig(compile=True))


def test_trainer_gpu_asks_for_what_is_fast_there() -> None:
    options = compose_settings(["experiment=digits_lenet", "trainer=gpu"]).trainer
    assert options.accelerator == "gpu" and options.precision == "bf16-mixed"
    assert options.channels_last and options.compile


def test_more_gpus_than_there_are_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    for accelerator in ("auto", "gpu"):
        with pytest.raises(ConfigError, match=r"trainer.devices=4: .* 3 "):
            check_hardware(TrainerConfig(accelerator=accelerator, devices=4))
    check_hardware(TrainerConfig(accelerator="gpu", devices=3))
    check_hardware(TrainerConfig(accelerator="cpu", devices=4))


def test_mps_is_one_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for accelerator in ("auto", "mps"):
        with pytest.raises(ConfigError, match="trainer.devices must be 1 with accelerator mps"):
            check_hardware(TrainerConfig(accelerator=accelerator, devices=2))
        check_hardware(TrainerConfig(accelerator=accelerator))
