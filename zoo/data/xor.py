"""Exclusive or: the four patterns that no single neuron can separate (Cyprus U02, U03).

Training, validation and test set are the same four patterns: the question is whether a net can learn them at all.
"""

import torch

from zoo.data.dataset import DataSet
from zoo.registry import register


@register("xor", group="data")
class XOR(DataSet):
    """Items: (2,) float32 of zeros and ones; label 1 where exactly one is set, int64.

    repeat: how often an epoch shows the set; long runs of tiny steps go faster in fewer, longer epochs.
    """

    licence = "none: four lines of logic"

    def __init__(self, batch_size: int = 4, repeat: int = 1):
        super().__init__(batch_size, repeat=repeat)
        self.provides = {"num_classes": 2, "in_features": 2, "input_shape": [2]}
        self.transform = {"kind": "numbers", "features": ["x1", "x2"], "scale": [1.0, 1.0]}

    def load(self) -> None:
        """The truth table."""
        inputs = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        targets = torch.tensor([0, 1, 1, 0])
        self.train = self.val = self.test = (inputs, targets)
