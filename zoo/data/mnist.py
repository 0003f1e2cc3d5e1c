"""MNIST: 70,000 handwritten digits in the official split, the last 5,000 training pictures set aside for validation.

Source: LeCun, Cortes & Burges, http://yann.lecun.com/exdb/mnist; licence CC BY-SA 3.0; read by
torchvision.datasets.MNIST.
"""

import torch

from zoo.data.fetch import File, fetch
from zoo.data.grey_pictures import GreyPictures
from zoo.registry import register

MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
FILES = (  # name, SHA-256 of the unpacked file, bytes of the unpacked file
    File("train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db", 47_040_016),
    File("train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5", 60_008),
    File("t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7", 7_840_016),
    File("t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2", 10_008),
)


@register("mnist", group="data")
class MNIST(GreyPictures):
    """Items: (1, 28, 28) float32; labels 0..9 int64.

    root: folder that holds (or shall hold) MNIST/raw/; None: ZOO_DATA_DIR, else data/cache.
    validation: how many of the last training pictures are set aside, 1 to 59,999.
    standardise: with mean and deviation of the training set; otherwise ink in [0, 1].
    permute: whether the pixels change places, in all pictures in the same way (C27).
    """

    licence = "CC BY-SA 3.0"

    def __init__(
        self,
        batch_size: int = 128,
        root: str | None = None,
        validation: int = 5000,
        standardise: bool = True,
        permute: bool = False,
    ):
        writing = {"box": 20, "centre": "mass"}  # scaled into 20x20 pixels, the centre of mass put into the middle
        super().__init__(batch_size, root, 28, 0.1307, 0.3081, standardise, writing, permute)
        if not 1 <= validation < 60_000:
            raise ValueError(f"validation must lie in 1 .. 59999, got {validation}")
        self.validation = validation

    def load(self) -> None:
        """Read the four files, fetching what is not there. Raises DataError."""
        for file in FILES:
            fetch(f"{MIRROR}{file.name}.gz", self.root / "MNIST" / "raw" / file.name, file)
        train, test = self.read(train=True), self.read(train=False)
        self.train = tuple(t[: -self.validation] for t in train)
        self.val = tuple(t[-self.validation :] for t in train)
        self.test = test

    def read(self, train: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures (N, 1, 28, 28), labels (N,)."""
        from zoo.torchvision_operators import declare_missing_operators

        declare_missing_operators()
        import torchvision  # a second to import: only when it is needed

        raw = torchvision.datasets.MNIST(self.root, train=train)
        return self.scaled(raw.data[:, None].float().div_(255)), raw.targets
