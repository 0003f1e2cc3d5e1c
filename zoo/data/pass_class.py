"""Will I pass this class? Lectures attended and hours on the project against pass or fail (Shanghai S09).

The lecture shows the question but its figures are lost, so the set is ours: 1,500 students drawn by
`data/draw_pass_class.py`, which states the true chance of each. Split in file order: 900 / 100 / 500.
"""

import csv
from importlib.resources import files

import torch
from torch import Tensor

from zoo.data.dataset import DataSet
from zoo.registry import register

QUESTION = (4, 5)  # the lecture's student: 4 lectures, 5 hours


@register("pass_class", group="data")
class PassClass(DataSet):
    """Items: (2,) float32, lectures / 8 and hours / 10; label 1 for passed, int64."""

    licence = "MIT, of the zoo's own"

    def __init__(self, batch_size: int = 900, repeat: int = 1):
        super().__init__(batch_size, repeat=repeat)
        self.provides = {"num_classes": 2, "in_features": 2, "input_shape": [2]}
        self.transform = {
            "kind": "numbers", "features": ["lectures", "hours"], "scale": [8.0, 10.0], "classes": ["failed", "passed"],
        }  # fmt: skip
        self.feature_names = ["lectures attended", "hours on the project"]
        self.question = QUESTION

    def load(self) -> None:
        """Read the table that comes with the package."""
        text = (files("zoo.files") / "pass_class.csv").read_text()
        rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
        table = torch.tensor([[float(row[k]) for k in ("lectures", "hours", "chance", "passed")] for row in rows])
        inputs = self.scaled(table[:, :2])
        targets = table[:, 3].long()
        self.train, self.val, self.test = (
            (inputs[rows], targets[rows]) for rows in (slice(900), slice(900, 1000), slice(1000, None))
        )
        best = (table[1000:, 2] > 0.5).long()  # nobody can guess better than by the true chance
        self.bayes_accuracy = float((best == self.test[1]).float().mean())

    def scaled(self, raw: Tensor) -> Tensor:
        """Lectures and hours (N, 2) -> the range 0..1."""
        return raw / torch.tensor(self.transform["scale"])

    @torch.no_grad()
    def probe(self, model: torch.nn.Module) -> dict[str, float]:
        """The probability of passing for the lecture's student, and accuracy as a share of the best possible."""
        logit = model(self.scaled(torch.tensor([QUESTION], dtype=torch.float32)))
        metrics = model.loss(self.test)
        if logit.numel() != 1 or "acc" not in metrics:  # many networks at once, or none that classifies
            return {}
        accuracy = float(metrics["acc"])
        return {"p(4,5)": float(torch.sigmoid(logit)), "acc_of_bayes": accuracy / self.bayes_accuracy}
