"""scikit-learn's digits: 1,797 handwritten digits of 8x8 pixels that come with the package, so no network is needed.

Source: Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI 1998 (its test part); licence CC BY 4.0.
Split: a third of each class (602) is held out as test, a tenth of the rest (124) is validation; drawn once, fixed seed.
"""

import torch
import torch.nn.functional as F

from zoo.data.grey_pictures import GreyPictures
from zoo.registry import register


@register("digits", group="data")
class Digits(GreyPictures):
    """Items: (1, image_size, image_size) float32; labels 0..9 int64.

    image_size: the 8x8 pictures are scaled up to it (bilinear); 28 is what the MNIST networks take.
    standardise: with mean and deviation of the 8x8 pictures; otherwise ink in [0, 1].
    permute: whether the pixels change places, in all pictures in the same way (C27).
    """

    licence = "CC BY 4.0"

    def __init__(self, batch_size: int = 64, image_size: int = 28, standardise: bool = True, permute: bool = False):
        if image_size < 8:
            raise ValueError(f"image_size must be >= 8, the size of the pictures, got {image_size}")
        writing = {"box": image_size, "centre": "box", "resolution": 8}  # they fill the 8x8 pixels that they come in
        super().__init__(batch_size, None, image_size, 0.3055, 0.3762, standardise, writing, permute)
        self.image_size = image_size

    def load(self) -> None:
        """Read the pictures out of the scikit-learn package."""
        from sklearn.datasets import load_digits  # a second to import: only when it is needed

        pixels, labels = load_digits(return_X_y=True)
        images = torch.tensor(pixels, dtype=torch.float32).view(-1, 1, 8, 8) / 16  # ink in [0, 1]
        images = F.interpolate(images, size=self.image_size, mode="bilinear", align_corners=False)
        images = self.scaled(images)
        targets = torch.tensor(labels, dtype=torch.int64)

        shuffled = torch.randperm(len(targets), generator=torch.Generator().manual_seed(0))
        rank = torch.zeros_like(shuffled)  # how many of its own class come before an item
        for digit in range(10):
            rank[shuffled[targets[shuffled] == digit]] = torch.arange(int((targets == digit).sum()))
        test = rank % 3 == 0
        val = ~test & (rank % 30 < 3)
        for name, rows in (("train", ~test & ~val), ("val", val), ("test", test)):
            setattr(self, name, (images[rows], targets[rows]))
