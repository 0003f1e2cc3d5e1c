"""A linear-chain conditional random field: a tag for each step, where neighbours go together (Bombay I21).

Shapes: B batch, T time, K tags.
"""

import torch
from torch import Tensor, nn


class LinearChainCRF(nn.Module):
    """score(y | x) = sum_t w(y_t, x_t) + sum_t v(y_(t-1), y_t);  p(y | x) = exp(score) / Z(x).

    With v = 0 the tags are independent, and each is a logistic regression on its own symbol.
    """

    def __init__(self, symbols: int, tags: int, chained: bool = True):
        super().__init__()
        self.emission = nn.Embedding(symbols, tags)  # w
        self.transition = nn.Parameter(torch.zeros(tags, tags), requires_grad=chained)  # v, from row to column

    def score(self, x: Tensor, y: Tensor) -> Tensor:
        """(B,) for symbols x (B, T) and tags y (B, T)."""
        emitted = self.emission(x).gather(2, y[:, :, None])[:, :, 0].sum(1)
        return emitted + self.transition[y[:, :-1], y[:, 1:]].sum(1)

    def log_z(self, x: Tensor) -> Tensor:
        """log of the sum over all K^T taggings, (B,), in T K^2 steps: the forward algorithm."""
        w = self.emission(x)  # (B, T, K)
        alpha = w[:, 0]
        for t in range(1, x.shape[1]):
            alpha = w[:, t] + torch.logsumexp(alpha[:, :, None] + self.transition, 1)  # (B, K)
        return torch.logsumexp(alpha, 1)

    def best(self, x: Tensor) -> Tensor:
        """The likeliest tagging (B, T): Viterbi's algorithm, the same with a maximum in the place of the sum."""
        w = self.emission(x)
        alpha, came_from = w[:, 0], []
        for t in range(1, x.shape[1]):
            top = (alpha[:, :, None] + self.transition).max(1)  # over the tag before
            alpha = w[:, t] + top.values
            came_from.append(top.indices)
        tags = [alpha.argmax(1)]
        for pointers in reversed(came_from):
            tags.append(pointers.gather(1, tags[-1][:, None])[:, 0])
        return torch.stack(tags[::-1], 1)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """-log p(y | x), nats per sequence."""
        return (self.log_z(x) - self.score(x, y)).mean()
