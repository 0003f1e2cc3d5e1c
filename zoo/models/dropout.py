"""Dropout whose draw costs little on a CPU, where PyTorch's own takes longer than the matrix products around it.

There PyTorch draws one number after the other, on one core. Here a 64-bit number serves eight entries, a byte each, so
the probability is rounded to a multiple of 1/256, and what is left is scaled by the rounded one.
Measured by tests/benchmarks/dropout.py. On a GPU it is PyTorch's.

Source: Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, 2014.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Dropout(nn.Module):
    """Sets each number to zero with probability p while training, and scales what is left by 1 / (1 - p).

    p: in [0, 1); on a CPU at least 1/512, or nothing is dropped, and at most 255/256.
    """

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Of the same shape and type."""
        if x.device.type != "cpu":
            return F.dropout(x, self.p, self.training)
        dropped = min(255, round(self.p * 256))  # of the 256 values of a byte
        if not self.training or not dropped:
            return x
        drawn = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)  # all 64 bits
        kept = drawn.view(torch.uint8)[: x.numel()].view(x.shape) >= dropped
        return x * kept.to(x.dtype).mul_(256 / (256 - dropped))
