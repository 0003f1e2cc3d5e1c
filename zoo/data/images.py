"""What sets of small grey pictures share: their scale, and what an autoencoder of them is measured against."""

import functools

import torch
from torch import Tensor

from zoo.data.dataset import DataSet


class Images(DataSet):
    """Items: (1, image_size, image_size) float32; labels (N,) int64 of 10 classes.

    mean, std: of the training pictures' ink, which lies in [0, 1].
    standardise: whether that mean and deviation are made 0 and 1, or the ink stays what it is.
    """

    probes_untrained = False

    def __init__(self, batch_size: int, root: str | None, image_size: int, mean: float, std: float, standardise: bool):
        super().__init__(batch_size, root)
        self.provides = {"num_classes": 10, "in_features": image_size**2, "input_shape": [1, image_size, image_size]}
        mean, std = (mean, std) if standardise else (0.0, 1.0)
        self.transform = {"kind": "image", "size": image_size, "channels": 1, "mean": mean, "std": std}

    def example_batch(self) -> tuple[Tensor, ...]:
        """Two blank pictures, whose ink is 0."""
        images, labels = super().example_batch()
        return self.scaled(images), labels

    def scaled(self, ink: Tensor) -> Tensor:
        """Ink in [0, 1] -> what the network is given; in place."""
        return ink.sub_(self.transform["mean"]).div_(self.transform["std"])

    @torch.no_grad()
    def probe(self, network: torch.nn.Module) -> dict[str, float]:
        """Of an autoencoder: the squared error per test picture as a share of PCA's with as many numbers (C21)."""
        if not hasattr(network, "code_size"):
            return {}
        error = float(network.loss(self.test)["squared_error"])
        pca = float(self.pca_errors[network.code_size])
        return {"pca_squared_error": pca, "share_of_pca": error / pca}

    @functools.cached_property
    def pca_errors(self) -> Tensor:
        """Squared error per test picture of a PCA fitted to the training pictures, (D + 1,) by number of components."""
        train, test = (part[0].flatten(1) for part in (self.train, self.test))  # (N, D)
        mean = train.mean(0)
        centred = train - mean
        _, vectors = torch.linalg.eigh(centred.T @ centred)  # columns, by rising variance
        kept = ((test - mean) @ vectors.flip(1)).square().mean(0)  # (D,) of the variance, per component
        return torch.cat([kept.sum()[None], kept.sum() - kept.cumsum(0)])
