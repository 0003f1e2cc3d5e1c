# fmt: off
"""Bombay (G. Ramakrishnan): convolution and recurrence as building blocks; every claim of the slides, computed."""

import torch
from torch import nn

from zoo.lectures.ledger import Steps, claim, remark

remark("I07", slide="6-9", topic="convolution", says="pictures of convolutional filters", verdict="no claim",
       why="The pictures are not in the text; zoo figure C36 draws learned filters.")


@claim("I08", slide=10, topic="parameters", says="MLP on 200x200x3 pixels, 40,000 hidden neurons: 4,800,000 parameters",
       stated=4_800_000, expected=4_800_000_000, verdict="wrong",
       why="120,000 inputs times 40,000 neurons are 4.8 billion weights: three zeros are missing.",
       correction="4,800,000,000 weights, 19.2 GB in float32")
def mlp_on_a_photograph() -> Steps:
    inputs, hidden = 200 * 200 * 3, 40_000
    yield f"inputs: 200 * 200 * 3 = {inputs:,}"
    layer = nn.Linear(inputs, hidden, device="meta")  # counted, not held: it would take 19 GB
    weights = layer.weight.numel()
    yield f"weights: {inputs:,} * {hidden:,} = {weights:,}, in float32 {4 * weights / 1e9:.1f} GB"
    yield f"with biases: {weights:,} + {hidden:,} = {weights + layer.bias.numel():,}"
    return weights


@claim("I29", slide=32, topic="neuron", says="softmax extends the sigmoid to many classes", expected=True, verdict="ok")
def softmax_of_two() -> Steps:
    z = torch.linspace(-5, 5, 11, dtype=torch.float64)
    yield "softmax([z, 0])[0] = e^z / (e^z + e^0) = 1 / (1 + e^-z) = sigmoid(z)"
    two = torch.stack([z, torch.zeros_like(z)], 1).softmax(1)[:, 0]
    difference = float((two - torch.sigmoid(z)).abs().max())
    yield f"largest difference over z = -5, -4, ..., 5: {difference:.1e}"
    return difference < 1e-12
