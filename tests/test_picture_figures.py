"""Figures of one picture show what the network computes, and files become the pictures that it was trained on."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from matplotlib.colors import to_rgba
from PIL import Image
from torch import Tensor, nn

import zoo
from zoo.data.dataset import DataSet
from zoo.data.picture_files import read_picture
from zoo.errors import DataError
from zoo.models.classifier import class_logits
from zoo.picture_figures import (
    HIGHLIGHT,
    Picture,
    Square,
    convolved,
    draw_picture,
    feature_maps,
    occlusion,
    occlusion_map,
    ready_in_parts,
    spread,
    top_five,
    unit_range,
)

COLOUR = {"kind": "image", "size": 8, "channels": 3, "mean": [0.5, 0.25, 0.0], "std": [0.5, 0.25, 1.0]}
GREY = {"kind": "image", "size": 8, "channels": 1, "mean": 0.25, "std": 0.5}


class Corner(nn.Module):
    """Says class 1 for what is bright in the two uppermost pixels on the right, and sees nothing else."""

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, 0, -2:].sum((1, 2))[:, None], (1, 0))


class Fixed(nn.Module):
    """The same logits for every picture."""

    def __init__(self, *logits: float):
        super().__init__()
        self.logits = torch.tensor(logits, dtype=torch.float32)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits.expand(len(x), -1)


# --- what is drawn ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "stride"), [(2, 1), (3, 2), (4, 3)])
def test_hiding_what_a_network_looks_at_costs_most(size: int, stride: int) -> None:
    image = torch.ones(3, 8, 8)
    values = occlusion(Corner(), image, 1, Square(size, stride))
    places = len(range(stride // 2, 8, stride))
    assert values.shape == (places, places)
    assert divmod(int(values.argmin()), places) == (0, places - 1)
    torch.testing.assert_close(values[-1], torch.full((places,), 6.0).sigmoid())  # far away nothing is lost


@pytest.mark.parametrize("size", range(1, 6))
def test_the_square_covers_so_many_pixels_around_its_middle(size: int) -> None:
    hidden = Square(size, 1).hide(torch.ones(1, 9, 9), 4, 5)
    assert int((hidden == 0).sum()) == size**2 and hidden[0, 4, 5] == 0
    assert int((Square(size, 1).hide(torch.ones(1, 9, 9), 0, 8) == 0).sum()) <= size**2


@pytest.mark.parametrize(("side", "places"), [(8, 8), (28, 14), (32, 11), (224, 14)])
def test_the_occlusion_map_shows_the_numbers_and_the_worst_place(side: int, places: int) -> None:
    picture = Picture(torch.ones(3, side, side), COLOUR | {"classes": ["dark", "bright"]}, 1)
    left, right, _ = occlusion_map(Corner(), picture, "net").axes
    shown = right.images[0].get_array()
    assert shown.shape == (places, places) and places**2 <= 200
    assert left.get_title() == f"bright: {torch.tensor(6.0).sigmoid():.1%}, hidden like this {shown.min():.1%}"
    square = left.patches[0]
    assert square.get_y() < 0.5 < square.get_y() + square.get_height() + 0.5
    assert square.get_x() < side - 2 + 0.5 and (left.get_xlim(), left.get_ylim()) == (
        right.get_xlim(),
        right.get_ylim(),
    )


def test_an_unknown_class_is_the_most_probable_one() -> None:
    left, right, _ = occlusion_map(Fixed(0, 3, 1), Picture(torch.ones(1, 8, 8), GREY), "net").axes
    assert left.get_title().startswith("1: ")
    shown = right.images[0]
    assert shown.get_array().min() == shown.get_clim()[1] > shown.get_clim()[0]  # nothing is lost: bright everywhere


def test_the_five_most_probable_classes_are_drawn() -> None:
    logits = torch.tensor([0.0, 2, -1, 5, 1, 3, -2])
    picture = Picture(torch.ones(1, 8, 8), GREY | {"classes": list("abcdefg")}, 5)
    _, axes = top_five(Fixed(*logits), picture, "net").axes
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(logits.softmax(0).topk(5).values.tolist())
    assert [label.get_text() for label in axes.get_yticklabels()] == ["d", "f (true)", "b", "e", "a"]
    colours = [bar.get_facecolor() for bar in axes.patches]
    assert [i for i, colour in enumerate(colours) if colour == to_rgba(HIGHLIGHT)] == [1]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first on top


def test_a_true_class_that_is_not_among_the_five_is_named_under_the_picture() -> None:
    left, right = top_five(Fixed(*range(8)), Picture(torch.ones(1, 8, 8), GREY, 0), "net").axes
    p = torch.arange(8.0).softmax(0)
    assert left.get_xlabel() == f"true: 0, {p[0]:.1%}"
    assert to_rgba(HIGHLIGHT) not in [bar.get_facecolor() for bar in right.patches]


def test_fewer_classes_than_five_are_all_drawn_and_one_output_means_two() -> None:
    _, axes = top_five(Fixed(1.0), Picture(torch.ones(1, 8, 8), GREY), "net").axes
    p = torch.tensor(1.0).sigmoid().item()
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([p, 1 - p])
    assert class_logits(Fixed(1.0)(torch.ones(3, 1, 8, 8))).tolist() == [[0.0, 1.0]] * 3


def direct_maps(name: str, network: nn.Module, x: Tensor) -> list[Tensor]:
    """What the convolutions of a network give after their activations, computed by hand."""
    if name == "fast_convnet":
        first = torch.relu(network.norm1(network.conv1(x[:, :, 2:-2, 2:-2])))
        return [first, torch.relu(network.norm2(network.conv2(first)))]
    if name == "nielsen_convnet":
        first = torch.relu(F.max_pool2d(network.convs[0](x), 2))
        return [first, torch.relu(F.max_pool2d(network.convs[1](first), 2))]
    if name == "lenet":
        first = torch.relu(network.conv1(x))
        return [first, torch.relu(network.conv2(F.max_pool2d(first, 2)))]
    maps, found = x, []
    for layer in network.features:
        maps = layer(maps)
        found += [maps] * isinstance(layer, nn.ReLU)
    return found


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("lenet", {}),
        ("fast_convnet", {}),
        ("nielsen_convnet", {"channels": [20, 40]}),
        ("alexnet", {"variant": "cifar"}),
    ],
)
def test_feature_maps_are_what_the_network_computes(name: str, arguments: dict[str, object]) -> None:
    network = zoo.create(name, num_classes=10, **arguments).eval()
    image = torch.randn(network.example_input.shape[1:])
    with torch.no_grad():
        wanted = [maps[0] for maps in direct_maps(name, network, image[None])]
    found = convolved(network, image)
    torch.testing.assert_close(found, wanted)


def test_maps_of_a_convolution_that_is_no_module_and_of_another_activation_are_found() -> None:
    paper = convolved(zoo.create("lenet", num_classes=10, variant="paper").eval(), torch.randn(1, 28, 28))
    assert [tuple(maps.shape) for maps in paper] == [(6, 28, 28), (16, 10, 10)]
    assert all(maps.abs().max() <= 1 and maps.min() < 0 for maps in paper)  # of tanh
    bare = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 3, 3), nn.Flatten(), nn.ReLU())
    image = torch.randn(1, 6, 6)
    assert torch.equal(convolved(bare, image)[1], bare[1](bare[0](image[None]))[0])


def test_the_most_excited_maps_are_drawn_in_their_order() -> None:
    network = nn.Sequential(nn.Conv2d(1, 20, 3), nn.ReLU())
    with torch.no_grad():
        network[0].weight.copy_(torch.randn(20, 1, 3, 3))
        network[0].bias.copy_(torch.tensor([-9.0, *[20.0] * 16, -9.0, -9.0, -9.0]))
    image = torch.randn(1, 8, 8)
    shown, sheet = feature_maps(network, Picture(image, GREY), "net").axes
    assert torch.equal(torch.tensor(shown.images[0].get_array()), image[0])
    assert sheet.get_title() == "conv 1: 16 of 20 maps, 6x6"
    drawn = torch.tensor(sheet.images[0].get_array().filled(torch.nan))  # 4 rows of 4, a pixel between
    wanted = unit_range(convolved(network, image)[0])
    torch.testing.assert_close(drawn[7:13, 14:20], wanted[1 + 4 + 2])  # row 1, column 2, of those from map 1 on
    assert drawn[6].isnan().all()


# --- pictures from a test set and from files ----------------------------------------------------------------------


@pytest.mark.parametrize(("size", "limit"), [(5, 10), (10, 10), (1000, 10), (50_000, 10_000), (1, 3)])
def test_a_few_items_are_spread_over_all(size: int, limit: int) -> None:
    rows = spread(size, limit)
    assert len(rows) == min(size, limit) and len(rows.unique()) == len(rows) and rows[0] == 0 and rows[-1] < size
    steps = rows.diff()
    assert not len(steps) or (steps.max() - steps.min() <= 1 and size - rows[-1] <= steps.max())


def test_large_pictures_come_in_small_parts() -> None:
    data = DataSet(1)
    data.test = (torch.zeros(1, 3, 224, 224).expand(300, -1, -1, -1), torch.arange(300))
    parts = list(ready_in_parts(data, spread(300, 200)))
    assert torch.equal(torch.cat([labels for _, labels in parts]), spread(300, 200))
    assert max(images.numel() for images, _ in parts) <= 2**23 and len(parts) == 4


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


PIXELS = np.random.default_rng(0).integers(256, size=(8, 8, 3), dtype=np.uint8)


def standardised(pixels: np.ndarray) -> Tensor:
    """What a network is given of RGB bytes (8, 8, 3)."""
    x = torch.from_numpy(pixels.astype(np.float32)) / 255
    return ((x - torch.tensor(COLOUR["mean"])) / torch.tensor(COLOUR["std"])).permute(2, 0, 1)


def test_a_picture_file_of_any_kind_becomes_what_the_network_takes(tmp_path: Path) -> None:
    rgb = Image.fromarray(PIXELS)
    palette = rgb.quantize(16)
    see_through = np.dstack([PIXELS, np.where(np.arange(64).reshape(8, 8) % 2, 255, 0).astype(np.uint8)])
    on_white = np.where(see_through[:, :, 3:] == 255, PIXELS, 255).astype(np.uint8)
    cmyk = rgb.convert("CMYK")
    deep = Image.fromarray(PIXELS[:, :, 0].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it turned by 90 degrees clockwise
    wide = np.pad(PIXELS, ((0, 0), (3, 3), (0, 0)))
    kinds = {
        "rgb.png": (rgb, PIXELS),
        "palette.png": (palette, np.asarray(palette.convert("RGB"))),
        "transparent.png": (Image.fromarray(see_through), on_white),
        "cmyk.tif": (cmyk, np.asarray(cmyk.convert("RGB"))),
        "deep.png": (deep, PIXELS[:, :, :1].repeat(3, 2)),
        "wide.png": (Image.fromarray(wide), PIXELS),
    }
    for name, (image, wanted) in kinds.items():
        found = read_picture(saved(image, tmp_path / name), COLOUR)
        torch.testing.assert_close(found, standardised(wanted), msg=name)
    turned = read_picture(saved(rgb, tmp_path / "turned.png", exif=exif), COLOUR)
    torch.testing.assert_close(turned, standardised(np.rot90(PIXELS, -1).copy()))


def test_a_picture_for_a_grey_network_is_grey(tmp_path: Path) -> None:
    image = Image.fromarray(PIXELS)
    found = read_picture(saved(image, tmp_path / "a.png"), GREY)
    wanted = (torch.from_numpy(np.array(image.convert("L"), dtype=np.float32)) / 255 - 0.25) / 0.5
    torch.testing.assert_close(found, wanted[None])


def test_a_window_of_a_larger_picture_is_what_evaluation_sees(tmp_path: Path) -> None:
    """Of pictures that are read from their files the centre is cut out."""
    from zoo.data.picture_stream import evaluation_transform

    image = Image.fromarray(np.random.default_rng(0).integers(256, size=(40, 48, 3), dtype=np.uint8))
    wanted = evaluation_transform(28, 1)(image).movedim(0, 2).numpy()  # of 32
    found = read_picture(saved(image, tmp_path / "a.png"), COLOUR | {"size": 28, "resize": 32})
    assert found.shape == (3, 28, 28)
    assert float((found - standardised(wanted)).abs().mean()) < 0.1  # cut and scaled in the other order


def loaded(model: str, transform: dict[str, object], **arguments: object) -> nn.Module:
    """A network with what `zoo.load` knows of its training."""
    network = zoo.create(model, **arguments)
    network.card = {"transform": transform}
    return network


def test_any_picture_file_can_be_drawn(tmp_path: Path) -> None:
    path = saved(Image.fromarray(PIXELS), tmp_path / "my cat.png")
    network = loaded("lenet", COLOUR | {"size": 28}, num_classes=3, in_channels=3)
    drawn = draw_picture(network, path, tmp_path / "figures")
    assert {p.name for p in drawn} == {f"my cat_{name}.png" for name in ("feature_maps", "top_five", "occlusion")}
    assert all(p.parent == tmp_path / "figures" and p.read_bytes().startswith(b"\x89PNG") for p in drawn)
    assert not network.training


def cut_short() -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "PNG")
    return file.getvalue()[:90]


@pytest.mark.parametrize("content", [b"", b"no picture\n" * 9, cut_short(), None])
def test_a_file_that_is_no_picture_is_refused_in_one_line(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="cannot read picture .*a.png: .") as error:
        draw_picture(loaded("lenet", GREY | {"size": 28}, num_classes=3), path, tmp_path / "figures")
    assert "\n" not in str(error.value) and not (tmp_path / "figures").exists()


def test_networks_that_classify_no_pictures_are_refused(tmp_path: Path) -> None:
    path = saved(Image.fromarray(PIXELS), tmp_path / "a.png")
    with pytest.raises(ValueError, match="Autoencoder does not classify"):
        draw_picture(loaded("autoencoder", GREY, in_features=64, hidden_sizes=[4]), path, tmp_path)
    for network in (loaded("mlp", {"kind": "points"}, in_features=2, num_classes=2), Fixed(1)):
        with pytest.raises(ValueError, match="trained on pictures"):
            draw_picture(network, path, tmp_path)
