"""What sets of small grey pictures share: their scale, and what an autoencoder of them is measured against."""

import functools
from typing import Any

import torch
from torch import Tensor

from zoo.data.dataset import DataSet


class GreyPictures(DataSet):
    """Items: (1, image_size, image_size) float32; labels (N,) int64 of 10 classes.

    mean, std: of the training pictures' ink, which lies in [0, 1].
    standardise: whether that mean and deviation are made 0 and 1, or the ink stays what it is.
    writing: how the digits were placed in their pictures, as zoo/handwriting.py takes it.
    permute: whether the pixels change places, in all pictures in the same way: what was near is near no longer (C27).
    """

    probes_untrained = False

    def __init__(
        self,
        batch_size: int,
        root: str | None,
        image_size: int,
        mean: float,
        std: float,
        standardise: bool,
        writing: dict[str, Any],
        permute: bool,
    ):
        super().__init__(batch_size, root)
        self.provides = {"num_classes": 10, "in_features": image_size**2, "input_shape": [1, image_size, image_size]}
        mean, std = (mean, std) if standardise else (0.0, 1.0)
        self.transform = {
            "kind": "image", "size": image_size, "channels": 1, "mean": mean, "std": std, "writing": writing,
        }  # fmt: skip
        if permute:
            generator = torch.Generator().manual_seed(0)
            self.transform["permutation"] = torch.randperm(image_size**2, generator=generator).tolist()

    def example_batch(self) -> tuple[Tensor, ...]:
        """Two blank pictures, whose ink is 0."""
        images, labels = super().example_batch()
        return self.scaled(images), labels

    def scaled(self, ink: Tensor) -> Tensor:
        """Ink in [0, 1] -> what the network is given; in place, unless the pixels change places."""
        return permuted(ink.sub_(self.transform["mean"]).div_(self.transform["std"]), self.transform)

    @torch.no_grad()
    def probe(self, network: torch.nn.Module) -> dict[str, float]:
        """Of an autoencoder: the squared error per test picture as a share of PCA's with as many numbers (C21).

        In float32, whatever it was trained and tested in. With as many numbers as pixels PCA makes no error.
        """
        if getattr(network, "code_size", torch.inf) >= self.provides["in_features"]:
            return {}
        error = float(network.loss(self.test)["squared_error"])
        images = self.test[0]
        pca = float((self.pca(images, network.code_size) - images).square().sum() / len(images))
        return {"pca_squared_error": pca, "share_of_pca": error / pca}

    @functools.cached_property
    def principal_components(self) -> tuple[Tensor, Tensor]:
        """Mean (D,) and principal components (D, D) of the training pictures; columns, by falling variance."""
        pixels = self.train[0].flatten(1)  # (N, D)
        centred = pixels - pixels.mean(0)
        return pixels.mean(0), torch.linalg.eigh(centred.T @ centred)[1].flip(1)

    def pca(self, images: Tensor, count: int) -> Tensor:
        """What `count` principal components leave of the pictures (B, 1, h, w), of the same shape."""
        mean, vectors = self.principal_components
        vectors = vectors[:, :count]
        return (mean + (images.flatten(1) - mean) @ vectors @ vectors.T).view_as(images)


def permuted(pictures: Tensor, transform: dict[str, Any]) -> Tensor:
    """Pictures (N, 1, s, s), their pixel i what was pixel `permutation[i]` where the transform has one."""
    order = transform.get("permutation")
    return pictures if order is None else pictures.flatten(1)[:, order].view_as(pictures)
