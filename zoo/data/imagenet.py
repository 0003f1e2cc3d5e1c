"""ImageNet, the thousand classes of ILSVRC 2012: 1,281,167 training and 50,000 validation pictures.

Source: Russakovsky et al., ImageNet large scale visual recognition challenge, IJCV 2015; for research, after
registration, https://image-net.org: nothing is fetched. Folders as torchvision.datasets.ImageNet lays them out:
train/n01440764/*.JPEG, ..., val/n01440764/*.JPEG, ...
"""

import sys

from zoo.data.dataset import data_root
from zoo.data.image_folder import ImageFolder
from zoo.errors import DataError
from zoo.registry import register

CLASSES, TRAINING, OFFICIAL_VALIDATION = 1000, 1_281_167, 50_000


@register("imagenet", group="data")
class ImageNet(ImageFolder):
    """Items: (3, 224, 224) float32; labels 0..999 int64 in the order of the synsets' names.

    The test set is the official validation set, as in every publication: the labels of the test set are secret.

    root: the folder with train/ and val/; None: imagenet/ in ZOO_DATA_DIR, else in data/cache.
    validation: share of each class's training pictures that is set aside, in (0, 1).
    image_size, crop, flip, lighting, views, num_workers: as for image_folder; pictures are never held in memory.
    """

    licence = "for research, after registration"

    def __init__(
        self,
        batch_size: int = 128,
        root: str | None = None,
        image_size: int = 224,
        validation: float = 0.01,
        crop: str = "resized",
        flip: bool = True,
        lighting: float = 0.0,
        views: int = 1,
        num_workers: int | None = None,
    ):
        folder = data_root(root) if root else data_root(None) / "imagenet"
        if not (folder / "train").is_dir() or not (folder / "val").is_dir():
            raise DataError(
                f"{folder} has no train/ and val/ with a folder per class; ImageNet is given out after registration at "
                f"https://image-net.org: unpack it there, or say where it lies with data.root=DIR"
            )
        super().__init__(
            str(folder), batch_size, image_size, validation, 0.1, crop, flip, lighting, views, False, num_workers
        )
        found = (len(self.parts["train"].names) + len(self.parts["val"].names), len(self.parts["test"].names))
        if (self.provides["num_classes"], *found) != (CLASSES, TRAINING, OFFICIAL_VALIDATION):
            print(
                f"{folder}: {self.provides['num_classes']:,} classes, {found[0]:,} and {found[1]:,} pictures; ILSVRC "
                f"2012 has {CLASSES:,}, {TRAINING:,} and {OFFICIAL_VALIDATION:,}: results are not comparable",
                file=sys.stderr,
            )
