"""Things as a person has them: digits of any size, place, mode and polarity; numbers, symbols, texts; files of many."""

import gzip
import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from conftest import DATA_ROOT, needs_mnist
from PIL import Image, ImageDraw, ImageFont, ImageOps

import zoo
from zoo.errors import DataError
from zoo.handwriting import written
from zoo.items import check_transform, found_in, ready
from zoo.registry import build

MNIST = {"box": 20, "centre": "mass"}
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def digit(number: int, size: int = 80, font: str = "DejaVuSans") -> Image.Image:
    """A printed digit, black on white, off the middle."""
    image = Image.new("L", (2 * size, 2 * size), 255)
    draw = ImageDraw.Draw(image)
    draw.text((size * 0.9, size * 0.2), str(number), font=ImageFont.truetype(FONTS / f"{font}.ttf", size), fill=0)
    return image


def raw_test_digits() -> tuple[torch.Tensor, torch.Tensor]:
    """MNIST's test pictures (10000, 28, 28) uint8 and labels, from their files."""
    folder = DATA_ROOT / "MNIST" / "raw"
    images = np.fromfile(folder / "t10k-images-idx3-ubyte", dtype=np.uint8)[16:].reshape(-1, 28, 28)
    labels = np.fromfile(folder / "t10k-labels-idx1-ubyte", dtype=np.uint8)[8:]
    return torch.from_numpy(images), torch.from_numpy(labels).long()


@needs_mnist
def test_what_is_in_place_already_stays_as_it_is() -> None:
    images, _ = raw_test_digits()
    assert torch.equal(written(images, 28, MNIST), images.float() / 255)


@needs_mnist
def test_pictures_are_permuted_as_the_training_pictures_were(tmp_path: Path) -> None:
    """As an array of many, as one array, as a picture and as a file; and the predictions are those on the test set."""
    data = build("data", "mnist", {"permute": True})
    data.load()
    raw, wanted = raw_test_digits()[0][:20], data.test[0][:20]
    assert torch.equal(ready(raw, data.transform)[0], wanted)
    Image.fromarray(raw[7].numpy()).save(tmp_path / "nine.png")
    for item in (raw[7], Image.fromarray(raw[7].numpy()), str(tmp_path / "nine.png")):
        assert torch.equal(ready([item], data.transform)[0], wanted[7:8])
    net = zoo.create("lenet", num_classes=10).eval()
    net.transform = json.loads(json.dumps(data.transform))  # as a file keeps it
    assert [int(answer.label) for answer in net.predict_all(raw)] == net(wanted).argmax(1).tolist()


@pytest.mark.parametrize("order", [list(range(783)), [0] * 784, [str(i) for i in range(784)], 3])
def test_a_permutation_that_is_none_is_refused(order: Any) -> None:
    transform = {"kind": "image", "size": 28, "channels": 1, "mean": 0.0, "std": 1.0, "writing": MNIST}
    check_transform(transform | {"permutation": list(range(784))[::-1]})
    with pytest.raises((ValueError, TypeError)):
        check_transform(transform | {"permutation": order})
    with pytest.raises(ValueError, match="permutation"):  # of coloured pictures nothing is permuted
        check_transform({"kind": "image", "size": 1, "channels": 3, "mean": 0.0, "std": 1.0, "permutation": [0]})


@needs_mnist
@pytest.mark.parametrize(
    "kind", ["light paper", "larger", "small in a corner", "pale", "on grey, 16 bits", "in colour"]
)
def test_a_digit_is_read_however_it_was_written(kind: str, tmp_path: Path) -> None:
    """Of 500 digits of the test set it gets at most 1 % fewer right than of the originals."""
    net = zoo.load("mnist-lenet")
    images, labels = (part[:500] for part in raw_test_digits())

    def changed(pixels: np.ndarray) -> Image.Image:
        image = Image.fromarray(pixels)
        if kind == "light paper":
            return ImageOps.invert(image)
        if kind == "larger":
            return ImageOps.invert(image.resize((140, 140), Image.Resampling.BICUBIC))
        if kind == "small in a corner":
            field = Image.new("L", (90, 70))
            field.paste(image, (60, 3))
            return field
        if kind == "pale":
            return Image.fromarray((200 - 0.5 * pixels).astype(np.uint8))
        if kind == "on grey, 16 bits":
            return Image.fromarray((20_000 + 150 * pixels.astype(np.uint16)).astype(np.uint16))
        colours = Image.new("RGB", image.size, (255, 240, 180))
        colours.paste((30, 20, 120), mask=image)
        return colours

    paths = []
    for i, pixels in enumerate(images.numpy()):
        paths.append(str(tmp_path / f"{i}.png"))
        changed(pixels).save(paths[-1])
    plain = sum(int(a.label) == t for a, t in zip(net.predict_all(images), labels.tolist(), strict=True))
    right = sum(int(a.label) == t for a, t in zip(net.predict_all(paths), labels.tolist(), strict=True))
    assert plain >= 494 and right >= plain - 5


@pytest.mark.parametrize("font", ["DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSansMono"])
@pytest.mark.parametrize("size", [24, 200])
def test_printed_digits_are_read(font: str, size: int) -> None:
    net = zoo.load("mnist-lenet")
    answers = net.predict_all([digit(number, size, font) for number in range(10)])
    assert sum(int(answer.label) == number for number, answer in enumerate(answers)) >= 9


def test_the_line_of_a_pen_is_no_hair() -> None:
    image = Image.new("L", (600, 600), 255)
    draw = ImageDraw.Draw(image)
    draw.line([(200, 150), (420, 150), (300, 480)], fill=0, width=3)  # a seven
    answer = zoo.load("mnist-lenet").predict(image)
    assert answer.label == "7" and answer.probability > 0.9


@pytest.mark.parametrize("kind", ["light from one side", "noise", "a speck", "a line around it"])
def test_what_a_telephone_makes_of_it_is_read_too(kind: str) -> None:
    noise = np.random.default_rng(0)

    def seen(image: Image.Image) -> Image.Image:
        pixels = np.asarray(image, dtype=np.float64)
        if kind == "light from one side":
            pixels = pixels / 255 * np.linspace(230, 100, pixels.shape[1])
        elif kind == "noise":
            pixels = 20 + 0.8 * pixels + noise.normal(0, 20, pixels.shape)
        elif kind == "a speck":
            pixels = pixels.copy()
            pixels[3, 3] = 0
        else:
            image = image.copy()
            ImageDraw.Draw(image).rectangle((5, 5, image.width - 6, image.height - 6), outline=0)
            return image
        return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))

    answers = zoo.load("mnist-lenet").predict_all([seen(digit(number)) for number in range(10)])
    assert sum(int(answer.label) == number for number, answer in enumerate(answers)) >= 9


def test_colours_of_one_brightness_are_told_apart() -> None:
    picture = Image.new("RGB", (160, 160), (0, 77, 0))
    picture.paste((0, 0, 255), mask=ImageOps.invert(digit(3)))
    picture = Image.composite(Image.new("RGB", picture.size, (150, 0, 0)), picture, ImageOps.invert(digit(3)))
    assert zoo.load("mnist-lenet").predict(picture).label == "3"


def test_a_network_of_another_precision_predicts_too() -> None:
    net = zoo.load("mnist-lenet")
    assert net.double().predict(digit(3)).label == net.bfloat16().predict(digit(3)).label == "3"


def test_transparency_is_paper_whatever_the_ink() -> None:
    net = zoo.load("mnist-lenet")
    for ink in ("white", "black"):
        picture = Image.new("RGBA", (160, 160), (0, 0, 0, 0))
        picture.paste(ink, mask=ImageOps.invert(digit(3)))
        assert net.predict(picture).label == "3"


def test_placing_keeps_proportions_and_centres_the_mass() -> None:
    grey = torch.full((1, 100, 60), 255, dtype=torch.uint8)
    grey[0, 10:90, 40:44] = 0
    ink = written(grey, 28, MNIST)[0]
    rows, columns = ink.sum(1), ink.sum(0)
    assert int((rows > 0.1).sum()) == 20 and int((columns > 0.1).sum()) <= 3
    for profile in (rows, columns):
        assert float(profile @ torch.arange(28.0) / profile.sum()) == pytest.approx(14, abs=0.51)
    coarse = written(grey, 28, {"box": 28, "centre": "box", "resolution": 8})[0]
    assert int((coarse.sum(1) > 0).sum()) == 28


def test_the_digits_network_reads_them_too() -> None:
    net = zoo.load("digits-lenet")
    answers = net.predict_all([digit(number) for number in range(10)])
    assert sum(int(answer.label) == number for number, answer in enumerate(answers)) >= 7


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_a_blank_picture_is_told_so(shade: int, tmp_path: Path) -> None:
    Image.new("L", (40, 40), shade).save(tmp_path / "blank.png")
    with pytest.raises(DataError, match="cannot read picture .*blank.png: it is blank"):
        zoo.load("mnist-lenet").predict(tmp_path / "blank.png")


def test_arrays_must_be_bytes() -> None:
    net = zoo.load("mnist-lenet")
    with pytest.raises(DataError, match="pictures must be uint8, 0 to 255, got float32; .* net.x."):
        net.predict(torch.zeros(28, 28))
    with pytest.raises(DataError, match=r"a picture must be an array .h, w. or .h, w, 3., got .4,."):
        net.predict(np.zeros(4, dtype=np.uint8))
    with pytest.raises(DataError, match=r"a picture must have pixels, got an array .0, 5."):
        net.predict(np.zeros((0, 5), dtype=np.uint8))
    assert net.predict(np.asarray(digit(3))[:, :]).label == "3"  # of Pillow's, which may only be read
    with pytest.raises(DataError, match="the network takes pictures: .* in predict_all; got dict"):
        net.predict({})


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_unreadable_pictures_are_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(DataError, match="cannot read picture .*x.png") as caught:
        zoo.load("mnist-lenet").predict(str(tmp_path / "x.png"))
    assert "\n" not in str(caught.value) and caught.value.exit_code == 3


def test_a_picture_that_would_unpack_to_gigabytes_is_refused(tmp_path: Path) -> None:
    import zlib

    side = 100_000

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10_000))) + chunk(b"IEND", b"")
    )
    (tmp_path / "bomb.png").write_bytes(bomb)
    with pytest.raises(DataError, match="pixels"):
        zoo.load("mnist-lenet").predict(tmp_path / "bomb.png")


def test_numbers_symbols_and_texts() -> None:
    passes = zoo.load("pass-class")
    assert passes.predict("4, 5") == passes.predict([4, 5])
    assert passes.predict([4, 5]).probability == pytest.approx(passes.card["metrics"]["test/p(4,5)"], abs=1e-5)
    for wrong in ("4", "4,x", [1, 2, 3], [float("nan"), 1], None):
        with pytest.raises(DataError, match="takes 2 numbers .lectures, hours."):
            passes.predict(wrong)
    recall = zoo.load("recall-lstm")
    assert recall.predict("f abcabc ?").label == "f"
    for wrong in ("", "xyz", "a" * 104, 5):
        with pytest.raises(DataError, match="takes 1 to 103 of the symbols abcdefgh_?"):
            recall.predict(wrong)
    with pytest.raises(DataError, match="does not say what its items were"):
        zoo.create("mlp", in_features=2, num_classes=2).predict([0, 1])
    with pytest.raises(DataError, match="takes texts that hold something, got ''"):
        ready([""], {"kind": "words"})


def test_the_words_of_a_review_are_read(train: Any) -> None:
    x, lengths = ready(["Good, not bad."], {"kind": "words", "vocabulary": ["<pad>", "<unk>", "good"], "max_length": 4})
    assert x.tolist() == [[1, 1, 1, 1]] and lengths.tolist() == [4]  # `, not bad .` are the last four


def test_files_of_many_pictures(tmp_path: Path) -> None:
    pictures = np.stack([np.asarray(digit(number).resize((28, 28))) for number in (1, 7)])
    np.save(tmp_path / "two.npy", pictures)
    raw = b"\0\0\x08\x03" + struct.pack(">3I", *pictures.shape) + pictures.tobytes()
    (tmp_path / "two-idx3-ubyte").write_bytes(raw)
    (tmp_path / "two-idx3-ubyte.gz").write_bytes(gzip.compress(raw))
    (tmp_path / "folder").mkdir()
    for number, pixels in zip((1, 7), pictures, strict=True):
        Image.fromarray(pixels).save(tmp_path / "folder" / f"{number}.png")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for path in (tmp_path / "folder").iterdir():
            archive.write(path, path.name)
    net = zoo.load("mnist-lenet")
    for name in ("two.npy", "two-idx3-ubyte", "two-idx3-ubyte.gz", "folder", "two.zip"):
        ((names, items),) = found_in(str(tmp_path / name), net.transform)
        assert len(names) == 2
        assert [answer.label for answer in net.predict_all(items)] == ["1", "7"], name
    for name, content in (
        ("cut-idx3-ubyte", raw[:-1]),
        ("long-idx3-ubyte", raw + b"x"),
        ("bomb-idx3-ubyte.gz", gzip.compress(b"\0\0\x08\x03" + struct.pack(">3I", 2**31, 2**31, 2**31))),
        ("labels-idx1-ubyte", b"\0\0\x08\x01" + struct.pack(">I", 2) + b"\1\7"),
        ("pickled.npy", saved(np.array([{"a": 1}], dtype=object))),
        ("numbers.npy", saved(np.zeros((2, 9, 9), dtype=">u2"))),
        ("columns.npy", saved(np.asfortranarray(np.zeros((2, 9, 8), dtype=np.uint8)))),
        ("none.npy", saved(np.zeros((0, 28, 28), dtype=np.uint8))),
        ("huge.npy", saved(np.zeros((1, 28, 28), dtype=np.uint8)).replace(b"(1, 28, 28)", b"(9999999, 28, 28)")),
        ("empty.npy", b""),
        ("empty-idx3-ubyte.gz", b""),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name.replace(".", r"\.")) as caught:
            list(found_in(str(tmp_path / name), net.transform))
        assert "\n" not in str(caught.value)


def saved(array: np.ndarray) -> bytes:
    """An array as NumPy saves it; one of objects it would unpickle."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def test_a_picture_in_an_archive_that_unpacks_to_gigabytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo.data import picture_files

    monkeypatch.setattr(picture_files, "LARGEST", 50_000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(60_000))
    ((names, error), *_) = found_in(str(tmp_path / "bomb.zip"), zoo.load("mnist-lenet").transform)
    assert names[0].endswith("bomb.zip/a.png") and "it unpacks to 60,000 bytes" in str(error)


def test_an_autoencoder_reconstructs_a_picture(train: Any, tmp_path: Path) -> None:
    given = ["model=autoencoder", "data=digits", "data.standardise=false", "trainer.max_epochs=3", "run_dir=run"]
    train(*given, "figures=false", "logger=csv")
    net = zoo.load("run")
    again = net.reconstruct(digit(0))
    assert again.shape == (28, 28) and 0 <= float(again.min()) <= float(again.max()) <= 1
    coloured = zoo.create("autoencoder", in_features=3 * 8 * 8)
    coloured.transform = {"kind": "image", "size": 8, "channels": 3, "mean": [0.5] * 3, "std": [0.5] * 3}
    assert coloured.reconstruct(Image.new("RGB", (20, 10), "red")).shape == (8, 8, 3)
