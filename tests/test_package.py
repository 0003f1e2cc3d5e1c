"""As a wheel, outside the checkout: it trains from there, and a model is added to it with two files."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, WAIVED, seconds_alone

README = (ROOT / "zoo" / "models" / "README.md").read_text()
pytestmark = pytest.mark.xdist_group("wheel")  # one process runs them all, and builds it once


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel holds, built from a copy so that no build folder is left in the checkout."""
    source = tmp_path_factory.mktemp("source")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    names = listed.stdout.split() if listed.returncode == 0 else [str(p.relative_to(ROOT)) for p in packaged()]
    for name in names:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_file():
            (source / name).write_bytes((ROOT / name).read_bytes())
    wheels = tmp_path_factory.mktemp("wheels")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", wheels, source],
        check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = wheels.glob("lecture_zoo-*.whl")
    target = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", target, wheel],
        check=True, capture_output=True,
    )  # fmt: skip
    return target


def packaged() -> list[Path]:
    """What a build needs, where there is no git."""
    folders = [path for name in ("zoo", "configs", "data") for path in (ROOT / name).rglob("*.[pyc][yas][mvl]*")]
    return [ROOT / "pyproject.toml", ROOT / "README.md", ROOT / "LICENSE", *folders]


def call(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The installed command, from another folder."""
    code = "import sys, zoo; assert zoo.__file__.startswith(sys.argv.pop(1)); from zoo.cli import main; main()"
    command = [sys.executable, "-W", "error", *WAIVED, "-c", code, str(installed), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200)


def test_the_wheel_holds_configs_and_data_and_nothing_else(installed: Path) -> None:
    found = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    for path in (ROOT / "configs").rglob("*.yaml"):
        assert f"zoo/configs/{path.relative_to(ROOT / 'configs')}" in found
    assert "zoo/files/pass_class.csv" in found
    tops = {name.split("/")[0] for name in found}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"zoo", "bin"}


def test_it_trains_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    done = call(installed, tmp_path, "experiment=pass_class_mlp", "trainer.max_epochs=2")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["experiment"] == "pass_class_mlp"


def block(language: str, start: str) -> str:
    """The code block of how to add a model that begins so."""
    return next(b for b in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if b.startswith(start))


def test_a_model_is_added_with_two_files(installed: Path, tmp_path: Path) -> None:
    files = {
        "zoo/models/neuron.py": block("python", "# zoo/models/neuron.py"),
        "zoo/configs/experiment/xor_neuron.yaml": block("yaml", "# @package _global_"),
    }
    try:
        for name, text in files.items():
            (installed / name).write_text(text)
        helped = call(installed, tmp_path, "--help").stdout
        assert re.search(r"^  xor_neuron +A single neuron gets", helped, re.MULTILINE)
        done = call(installed, tmp_path, "experiment=xor_neuron", "run_dir=run")
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert result["pass"] and result["parameters"] == 3
        wrong = call(installed, tmp_path, "experiment=xor_neuron", "model.in_feature=3")
        assert wrong.returncode == 2 and "unknown key 'model.in_feature' (did you mean 'in_features'?)" in wrong.stderr
        code = "import zoo, torch; print(tuple(zoo.load('run')(torch.zeros(3, 2)).shape))"
        loaded = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(installed)},
            capture_output=True, text=True,
        )  # fmt: skip
        assert loaded.stdout.strip() == "(3, 1)", loaded.stderr
    finally:
        for name in files:
            (installed / name).unlink()


def test_import_of_the_package_is_quick() -> None:
    code = "import zoo, sys; assert 'torch' not in sys.modules"
    assert seconds_alone([sys.executable, "-c", code], ROOT) < 1.0
