"""Where the metrics go: metrics.csv always, and beside it TensorBoard, W&B or MLflow by one word (`logger=wandb`)."""

import csv
import dataclasses
import time
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.loggers.logger import Logger

from zoo.checkpoint import write_whole

if TYPE_CHECKING:
    from zoo.config import Settings


class MetricsCSV(Logger):
    """metrics.csv: one row per logged step, written whole whenever a checkpoint is.

    path: the file; rows of a run that was stopped are kept up to the step that it goes on from.
    first_step: that step, 0 for a new run.
    Its column `seconds` is the time since training began, validation included; of a run that was stopped and continued,
    without the pause, and without what had been done since the last row before it.
    """

    def __init__(self, path: Path, first_step: int):
        super().__init__()
        self.path = path
        self.rows: dict[int, dict[str, float]] = {}
        if path.exists():
            with open(path, newline="") as file:
                for row in csv.DictReader(file):
                    values = {name: float(text) for name, text in row.items() if text}
                    if values["step"] <= first_step:
                        self.rows[int(values["step"])] = values
        self.before = max((row.get("seconds", 0.0) for row in self.rows.values()), default=0.0)
        self.started = time.monotonic()

    @property
    def name(self) -> str:
        """The directory is the run's own."""
        return ""

    @property
    def version(self) -> str:
        """There is one per run."""
        return ""

    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """They stand in config.yaml."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add to the row of this step."""
        row = self.rows.setdefault(step or 0, {"step": step or 0})
        row.update(metrics, seconds=self.before + time.monotonic() - self.started)

    def finalize(self, status: str) -> None:
        """Write at the end of training."""
        self.write()

    def write(self) -> None:
        """Write the file, whole. Raises OutputError."""
        found = {name for row in self.rows.values() for name in row}
        columns = sorted(found, key=lambda name: (name not in ("step", "epoch", "seconds"), name))
        lines = [",".join(columns)]
        lines += [",".join(f"{row[c]:.8g}" if c in row else "" for c in columns) for row in self.rows.values()]
        write_whole(self.path, ("\n".join(lines) + "\n").encode())


def extra_logger(settings: "Settings", folder: Path) -> list[Logger]:
    """The logger that `logger=` names, with the run's settings; [] for csv."""
    from lightning.pytorch import loggers

    name, project = settings.logger.name, settings.logger.project
    made: Logger
    if name == "tensorboard":
        made = loggers.TensorBoardLogger(folder, name="", version="tensorboard", default_hp_metric=False)
    elif name == "wandb":
        made = loggers.WandbLogger(name=folder.name, save_dir=folder, project=project)
    elif name == "mlflow":
        made = loggers.MLFlowLogger(project, run_name=folder.name, tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    else:
        return []
    if name != "tensorboard":  # whose own file for them is config.yaml again
        made.log_hyperparams(dataclasses.asdict(settings))
    return [made]
