"""What sets of coloured pictures share: bytes until the last step, then augmented and standardised batch by batch."""

import functools

import torch
from torch import Tensor

from zoo.data.dataset import DataSet, Split, mix


class Pictures(DataSet):
    """Items: (3, image_size, image_size) float32; labels (N,) int64. Held are bytes (N, s, s, 3) uint8 and labels.

    What is not held comes from files (zoo/data/picture_stream.py), cut and mirrored already.

    classes: names, in the order of their numbers.
    mean, std: per channel, of values in [0, 1]; these become 0 and 1.
    crop: how a training picture is cut out, anew in each pass: centre (as in evaluation) | padded (of the picture with
        an eighth of its size added on each side by reflection).
    flip: whether half of the training pictures are mirrored.
    lighting: deviation of the shift along the principal colours (AlexNet's paper: 0.1); 0: none.
    """

    probes_untrained = False
    crops: tuple[str, ...] = ("centre", "padded")
    is_held = True

    def __init__(
        self,
        batch_size: int,
        root: str | None,
        image_size: int,
        classes: list[str],
        mean: list[float],
        std: list[float],
        crop: str,
        flip: bool,
        lighting: float,
    ):
        super().__init__(batch_size, root)
        if crop not in self.crops:
            raise ValueError(f"crop must be one of {', '.join(self.crops)}, got {crop!r}")
        if not 0 <= lighting < 10:
            raise ValueError(f"lighting must lie in [0, 10), got {lighting}")
        if image_size < 8:
            raise ValueError(f"image_size must be >= 8, got {image_size}")
        self.image_size = image_size
        self.crop, self.flip, self.lighting = crop, flip, lighting
        self.provides = {
            "num_classes": len(classes),
            "in_features": 3 * image_size**2,
            "input_shape": [3, image_size, image_size],
        }
        self.transform = {
            "kind": "image", "size": image_size, "channels": 3, "mean": mean, "std": std, "classes": classes,
        }  # fmt: skip

    def ready(self, part: str, rows: slice | Tensor = slice(None)) -> Split:
        """Standardised and not augmented."""
        images, labels = super().ready(part, rows)
        return self.scaled(images), labels

    def served(self, part: str, seed: int | None, items: Split, rows: slice | Tensor, number: int) -> Split:
        """Standardised; training pictures are augmented before. Of item i in pass p it follows from (seed, p, i)."""
        images, labels = items
        if part != "train" or seed is None:
            return self.scaled(images), labels
        if self.is_held and (self.crop == "padded" or self.flip):
            images = self.windows(images, seed, rows, number)
        images = self.scaled(images)
        if self.lighting:
            images = images + self.shifts(seed, rows, number, images.device)
        return images, labels

    def scaled(self, images: Tensor) -> Tensor:
        """Bytes (..., s, s, 3) -> what the network is given, (..., 3, s, s) float32 in the layout channels_last."""
        mean, std = (on_device(tuple(self.transform[key]), images.device) for key in ("mean", "std"))
        return ((images - 255 * mean) / (255 * std)).movedim(-1, -3)

    def windows(self, images: Tensor, seed: int, rows: slice | Tensor, number: int) -> Tensor:
        """Another window of each picture (n, s, s, 3), perhaps mirrored; what is beyond its edge is reflected."""
        n, size = images.shape[:2]
        pad = size // 8 if self.crop == "padded" else 0
        device = images.device
        offsets, mirrored = drawn_windows(mix(seed, number), len(self.train[-1]), pad, device)
        places = offsets[:, rows, None] + torch.arange(size, device=device)  # (2, n, s)
        down, right = (size - 1) - ((size - 1) - places.abs()).abs()  # -1 is 1, and size is size - 2
        if self.flip:
            right = torch.where(mirrored[rows][:, None], right.flip(1), right)
        pixels = (torch.arange(n, device=device)[:, None] * size + down)[:, :, None] * size + right[:, None, :]
        return images.reshape(-1, 3).index_select(0, pixels.flatten()).view(n, size, size, 3)

    def shifts(self, seed: int, rows: slice | Tensor, number: int, device: torch.device) -> Tensor:
        """What is added to the standardised colours of each picture: (n, 3, 1, 1)."""
        strengths = self.lighting * drawn_strengths(mix(seed, number), len(self.train[-1]), device)[rows]
        colours = on_device(tuple(self.principal_colours.flatten().tolist()), device).view(3, 3)
        std = on_device(tuple(self.transform["std"]), device)
        return (strengths @ colours.T / std)[:, :, None, None]

    @functools.cached_property
    def principal_colours(self) -> Tensor:
        """Eigenvectors (3, 3) of the covariance of the training pixels' colours, columns, times their eigenvalues.

        Of values in [0, 1]. AlexNet's paper, section 4.1, adds them to a picture, each times a normal draw times 0.1.
        """
        values, vectors = torch.linalg.eigh((self.sample_bytes().reshape(-1, 3).float() / 255).T.cov())
        return vectors * values

    def sample_bytes(self) -> Tensor:
        """Some training pictures (n, s, s, 3) uint8."""
        return self.train[0][:: max(1, len(self.train[0]) // 5000)]


@functools.lru_cache(maxsize=16)  # a GPU would have to wait for them in each batch
def on_device(numbers: tuple[float, ...], device: torch.device) -> Tensor:
    """A few numbers, float32."""
    return torch.tensor(numbers, device=device)


@functools.lru_cache(maxsize=2)  # of one pass, and perhaps of the one before
def drawn_windows(seed: int, count: int, pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """For each of `count` pictures offsets (2, count) in -pad .. pad, and whether it is mirrored (count,)."""
    generator = torch.Generator().manual_seed(mix(seed, 1))
    offsets = torch.randint(-pad, pad + 1, (2, count), generator=generator)
    return offsets.to(device), (torch.rand(count, generator=generator) < 0.5).to(device)


@functools.lru_cache(maxsize=2)
def drawn_strengths(seed: int, count: int, device: torch.device) -> Tensor:
    """For each of `count` pictures three normal draws (count, 3)."""
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(mix(seed, 2))).to(device)
