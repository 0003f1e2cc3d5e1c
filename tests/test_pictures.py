"""Coloured pictures: found, split, decoded, held or streamed, augmented; against torchvision and plain loops."""

import io
import os
import pickle
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from zoo.config import compose_settings
from zoo.data import held_pictures
from zoo.data.dataset import Share
from zoo.data.picture_files import PictureFiles, Unreadable, decode, split, squared
from zoo.data.picture_stream import Stream
from zoo.data.pictures import Pictures
from zoo.errors import ConfigError, DataError
from zoo.registry import build
from zoo.train import assemble

CLASSES = ("cat", "dog", "eel")


def picture(seed: int, size: tuple[int, int] = (20, 16), **options: Any) -> bytes:
    """Noise as a PNG, width x height."""
    pixels = np.random.default_rng(seed).integers(256, size=(size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def write_tree(root: Path, parts: tuple[str, ...] = ("",), each: int = 10, **options: Any) -> Path:
    for part in parts:
        for number, label in enumerate(CLASSES):
            for i in range(each):
                path = root / part / label / f"{i:03d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(picture(1000 * len(part) + 100 * number + i, **options))
    return root


def zipped(tree: Path, file: Path, around: str = "") -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(tree.rglob("*.png")):
            archive.write(path, around + str(path.relative_to(tree)))
    return file


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache lies in a folder of the test."""
    monkeypatch.chdir(tmp_path)


def folder(root: Path | str, **arguments: Any) -> Pictures:
    given = {"image_size": 16, "batch_size": 8, "num_workers": 0} | arguments
    data = build("data", "image_folder", {"root": str(root)} | given)
    data.load()
    return data


# --- files -----------------------------------------------------------------------------------------------------------


def test_split_by_fractions_takes_the_same_share_of_each_class() -> None:
    tree = write_tree(Path("pets"))
    classes, parts = split(PictureFiles(tree), validation=0.25, test=0.2)
    assert classes == list(CLASSES)
    names = [name for part in parts.values() for name in part.names]
    assert sorted(names) == PictureFiles(tree).names and len(names) == 30
    for part, count in (("train", 6), ("val", 2), ("test", 2)):
        assert Counter(parts[part].targets) == dict.fromkeys(range(3), count)
        for name, label in zip(*parts[part], strict=True):
            assert name.startswith(CLASSES[label] + "/")
    assert split(PictureFiles(tree), 0.25, 0.2) == (classes, parts)


@pytest.mark.parametrize(
    ("parts", "sizes"),
    [
        (("train", "val", "test"), (30, 30, 30)),
        (("train", "valid", "test"), (30, 30, 30)),
        (("train", "test"), (27, 3, 30)),
        (("train", "val"), (27, 3, 30)),
        (("train",), (24, 3, 3)),
    ],
)
def test_split_by_folder(parts: tuple[str, ...], sizes: tuple[int, ...]) -> None:
    _, found = split(PictureFiles(write_tree(Path("pets"), parts)), validation=0.1, test=0.1)
    assert tuple(len(found[part].names) for part in ("train", "val", "test")) == sizes
    if "test" in parts:
        assert all(name.startswith("test/") for name in found["test"].names)


@pytest.mark.parametrize("around", ["", "pets/", "a/b/"])
def test_a_zip_is_read_as_the_folder_that_was_packed(around: str, tmp_path: Path) -> None:
    tree = write_tree(Path("pets"), ("train", "test"))
    one, two = folder(tree), folder(zipped(tree, tmp_path / "pets.zip", around))
    assert one.provides == two.provides
    for part in ("train", "val", "test"):
        for a, b in zip(getattr(one, part), getattr(two, part), strict=True):
            assert torch.equal(a, b)


def test_what_systems_leave_beside_files_is_no_picture() -> None:
    tree = write_tree(Path("pets"))
    for name in ("__MACOSX/cat/._1.png", "cat/._2.png", ".hidden/3.png", "cat/notes.txt"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(b"x")
    assert len(PictureFiles(tree).names) == 30


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: None, "cannot read pictures from pets: No such file"),
        (lambda root: root.write_text("x"), "cannot read pictures from pets: it is neither a folder nor a"),
        (lambda root: root.mkdir(), "pets holds no pictures"),
        (
            lambda root: write_tree(root / "x").joinpath("cat").rename(root / "cat"),
            r"pets: .* lies in no class's folder",
        ),
        (lambda root: write_tree(root, each=1), "pets: 3 pictures are too few, val would have none"),
        (lambda root: write_tree(root, ("train/a",)), "the class a alone"),
    ],
)
def test_what_cannot_be_split_is_one_line(make: Callable[[Path], Any], words: str) -> None:
    make(Path("pets"))
    if words.endswith("class's folder"):
        Path("pets/x/lost.png").write_bytes(picture(0))
        Path("pets/lost.png").write_bytes(picture(0))
    with pytest.raises(DataError, match=words) as caught:
        folder("pets")
    assert "\n" not in str(caught.value)


def test_the_folders_of_a_split_in_any_case_and_nothing_beside_them() -> None:
    tree = write_tree(Path("pets"), ("Training", "TEST"))
    classes, parts = split(PictureFiles(tree), 0.1, 0.1)
    assert classes == list(CLASSES) and len(parts["test"].names) == 30
    (tree / "masks").mkdir()
    (tree / "masks/a.png").write_bytes(picture(0))
    with pytest.raises(DataError, match="pets has masks beside the folders of a split; is it a class, or no part"):
        folder(tree)


def test_links_are_followed_each_folder_once_and_lead_where_they_may() -> None:
    tree = write_tree(Path("pets"))
    (tree / "dog").rename("elsewhere")
    (tree / "dog").symlink_to(Path("elsewhere").resolve())
    (tree / "dog/back").symlink_to(tree.resolve())
    (tree / "cat/nowhere.png").symlink_to(Path("nothing.png").resolve())
    data = folder(tree, validation=0.2, test=0.2)
    assert data.provides["num_classes"] == 3
    assert sum(len(part[0]) for part in (data.train, data.val, data.test)) == 30  # without the one that is not there


def test_a_name_in_no_alphabet_is_a_name() -> None:
    tree = write_tree(Path("pets"))
    try:
        os.rename(tree / "cat/000.png", os.fsencode(tree / "cat") + b"/\xff.png")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert sum(len(part[0]) for part in (lambda d: (d.train, d.val, d.test))(folder(tree))) == 30


def test_a_class_of_the_test_set_alone_is_named() -> None:
    tree = write_tree(Path("pets"), ("train", "test"))
    (tree / "test" / "cat").rename(tree / "test" / "fox")
    with pytest.raises(DataError, match="the class fox has no training pictures"):
        folder(tree)


# --- decoding --------------------------------------------------------------------------------------------------------


def saved(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def pixel(raw: bytes) -> tuple[int, ...]:
    return decode(raw).getpixel((0, 0))


def test_every_kind_of_picture_becomes_rgb() -> None:
    assert pixel(saved(Image.new("L", (3, 3), 7))) == (7, 7, 7)
    assert pixel(saved(Image.new("1", (3, 3), 1))) == (255, 255, 255)
    assert pixel(saved(Image.new("RGBA", (3, 3), (10, 20, 30, 0)))) == (255, 255, 255)  # nothing on white
    assert pixel(saved(Image.new("RGBA", (3, 3), (0, 0, 0, 128)))) == (127, 127, 127)
    assert pixel(saved(Image.new("LA", (3, 3), (0, 255)))) == (0, 0, 0)
    palette = Image.new("P", (3, 3), 1)
    palette.putpalette([0, 0, 0, 9, 8, 7])
    assert pixel(saved(palette)) == (9, 8, 7)
    assert pixel(saved(palette, transparency=1)) == (255, 255, 255)
    assert pixel(saved(Image.fromarray(np.full((3, 3), 257 * 50, dtype=np.uint16)))) == (50, 50, 50)
    assert pixel(saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))[0] > 200
    assert pixel(saved(Image.new("RGB", (3, 3), (1, 2, 3)), "GIF")) == (1, 2, 3)


def test_a_picture_stands_upright() -> None:
    image = Image.new("RGB", (4, 2), "red")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    assert decode(saved(image, "JPEG", exif=exif)).size == (2, 4)


@pytest.mark.parametrize(
    "raw", [b"", b"no picture", picture(0)[:60], picture(0)[:-400], b"\xff\xd8\xff\xe0" + bytes(50), picture(0)[8:]]
)
def test_a_damaged_picture_says_why_in_a_line(raw: bytes) -> None:
    with pytest.raises(Unreadable) as caught:
        decode(raw)
    assert str(caught.value) and "\n" not in str(caught.value)


def test_of_a_very_long_picture_the_middle_is_read() -> None:
    assert decode(saved(Image.new("RGB", (3000, 2)))).size == (8, 2)
    assert decode(saved(Image.new("L", (1, 900)))).size == (1, 4)


def test_the_middle_is_kept() -> None:
    image = Image.new("RGB", (40, 20), "black")
    image.paste((255, 0, 0), (10, 0, 30, 20))
    assert squared(image, 20).getcolors() == [(400, (255, 0, 0))]
    assert squared(image, 10).size == (10, 10)


# --- held in memory --------------------------------------------------------------------------------------------------


def test_held_pictures_are_those_of_the_files(capsys: pytest.CaptureFixture[str]) -> None:
    data = folder(write_tree(Path("pets"), ("train", "test")))
    assert "pets-train: 27 pictures of 16x16, 0.0 MB" in capsys.readouterr().err
    names = data.parts["test"].names
    for i in (0, 17):
        expected = squared(Image.open(Path("pets") / names[i]), 16)
        assert torch.equal(data.test[0][i], torch.from_numpy(np.array(expected)))
    images, labels = data.ready("test", slice(3, 5))
    mean, std = (torch.tensor(data.transform[key])[:, None, None] for key in ("mean", "std"))
    torch.testing.assert_close(images, (data.test[0][3:5].permute(0, 3, 1, 2) / 255 - mean) / std)
    assert labels.tolist() == data.parts["test"].targets[3:5]


def test_decoded_once_and_anew_when_a_file_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = write_tree(Path("pets"), ("train", "test"))
    first = folder(tree)
    with monkeypatch.context() as patch:
        patch.setattr(held_pictures, "decode", lambda raw: pytest.fail("decoded again"))
        again = folder(tree)
    assert torch.equal(first.train[0], again.train[0])
    (tree / "test/cat/000.png").write_bytes(picture(99, (21, 17)))
    assert not torch.equal(folder(tree).test[0][0], first.test[0][0])


def test_damaged_pictures_are_named_counted_and_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    tree = write_tree(Path("pets"), ("train", "test"), each=10)
    for i in range(7):
        (tree / f"train/cat/{i:03d}.png").write_bytes(b"nothing" * (i > 0))
    data = folder(tree)
    said = capsys.readouterr().err
    assert "damaged pictures are left out: train/cat/000.png (" in said and ", ..." in said
    assert len(data.train[0]) == len(data.train[1])
    assert int((data.train[1] == 0).sum() + (data.val[1] == 0).sum()) == 3
    folder(tree)  # from the cache: said again
    assert "damaged pictures are left out" in capsys.readouterr().err


def test_a_damaged_member_of_a_zip_is_found_by_its_checksum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = zipped(write_tree(Path("pets"), ("train", "test")), tmp_path / "pets.zip")
    raw = bytearray(file.read_bytes())
    raw[raw.index(b"IDAT") + 30] ^= 1  # stored, not packed
    file.write_bytes(raw)
    data = folder(file)
    assert "Bad CRC-32" in capsys.readouterr().err
    assert len(data.train[0]) + len(data.val[0]) + len(data.test[0]) == 59


def test_what_could_not_be_read_for_a_moment_is_read_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = write_tree(Path("pets"), ("train", "test"))
    read = PictureFiles.read

    def fail_once(files: PictureFiles, name: str) -> bytes:
        if name == "test/dog/003.png":
            raise Unreadable("the network drive has hiccups")
        return read(files, name)

    with monkeypatch.context() as patch:
        patch.setattr(PictureFiles, "read", fail_once)
        assert len(folder(tree).test[0]) == 29
    assert len(folder(tree).test[0]) == len(folder(tree).test[1]) == 30


def test_no_readable_picture_is_an_error() -> None:
    tree = write_tree(Path("pets"), ("train", "test"))
    for path in tree.glob("test/*/*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="pets: none of 30 pictures can be read"):
        folder(tree)


@pytest.mark.parametrize("damage", [lambda raw: raw[:-1], lambda raw: bytes([raw[0] ^ 1]) + raw[1:], lambda raw: b""])
@pytest.mark.parametrize("name", ["pictures.u8", "about.json"])
def test_a_damaged_cache_is_refused(name: str, damage: Callable[[bytes], bytes]) -> None:
    tree = write_tree(Path("pets"))
    folder(tree)
    for path in Path("runs/pictures").glob(f"*/{name}"):
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"runs/pictures/pets-train_\w+ is damaged .*; delete it to have it made again"):
        folder(tree)


def test_what_does_not_fit_into_memory_is_refused_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_pictures, "free_memory", lambda: 10_000.0)
    with pytest.raises(DataError, match=r"pets-train: 24 pictures of 16x16 take 0.0 GB of memory.*data.held=false"):
        folder(write_tree(Path("pets")))


# --- augmentation ----------------------------------------------------------------------------------------------------


def windows(image: Tensor) -> dict[bytes, tuple[int, int, bool]]:
    """Every 16x16 window of a picture (16, 16, 3) padded by 2 on each side, mirrored or not, with where it is."""
    padded = F.pad(image.permute(2, 0, 1)[None].float(), (2, 2, 2, 2), mode="reflect")[0].byte()
    found = {}
    for down in range(5):
        for right in range(5):
            window = padded[:, down : down + 16, right : right + 16]
            for mirrored in (False, True):
                key = (window.flip(2) if mirrored else window).contiguous().numpy().tobytes()
                found[key] = (down, right, mirrored)
    return found


def as_bytes(data: Pictures, images: Tensor) -> Tensor:
    mean, std = (torch.tensor(data.transform[key])[:, None, None] for key in ("mean", "std"))
    return ((images * std + mean) * 255).round().byte()


def test_windows_are_those_of_the_padded_picture_and_all_come_up() -> None:
    data = folder(write_tree(Path("pets"), ("train", "test")), crop="padded", flip=True)
    known = [windows(image) for image in data.train[0]]
    drawn = Counter()
    for number in range(30):
        rows = torch.randperm(len(known))
        images, _ = data.served("train", 5, tuple(part[rows] for part in data.train), rows, number)
        for row, image in zip(rows.tolist(), as_bytes(data, images), strict=True):
            drawn[known[row][image.contiguous().numpy().tobytes()]] += 1  # KeyError: no window of this picture
    assert len(drawn) == 50
    assert sum(count for (_, _, mirrored), count in drawn.items() if mirrored) == pytest.approx(405, abs=60)


@pytest.mark.parametrize(("crop", "flip", "kinds"), [("centre", False, 1), ("centre", True, 2), ("padded", False, 25)])
def test_each_of_crop_and_flip_can_be_left_out(crop: str, flip: bool, kinds: int) -> None:
    data = folder(write_tree(Path("pets"), ("train", "test")), crop=crop, flip=flip)
    seen = set()
    for number in range(150):
        images, _ = data.served("train", 5, tuple(part[:1] for part in data.train), torch.tensor([0]), number)
        seen.add(as_bytes(data, images).contiguous().numpy().tobytes())
    assert len(seen) == kinds and seen <= windows(data.train[0][0]).keys()


@pytest.mark.parametrize("held", [True, False])
def test_what_is_done_to_a_picture_follows_from_seed_pass_and_item(held: bool) -> None:
    """Whatever batch it is in, whichever process has it, wherever the run was continued."""
    write_tree(Path("pets"), ("train", "test"))
    data = folder("pets", lighting=0.1, held=held)

    def served(seed: int, first: int, size: int, share: Share) -> list[tuple[bytes, int]]:
        data.batch_size = size
        loader = data.batches("train", seed, lambda: first, share=share)
        pairs = (pair for batch in loader for pair in zip(*batch, strict=True))
        return [(image.contiguous().numpy().tobytes(), int(label)) for image, label in pairs]

    whole = served(3, 0, 9, Share())
    assert len({raw for raw, _ in whole}) == 27
    assert served(3, 1, 9, Share()) == whole[9:]
    assert sorted(served(3, 0, 27, Share())) == sorted(whole)  # in one batch their order does not matter
    halves = [served(3, 0, 9, Share(rank, 2)) for rank in range(2)]
    assert sorted(halves[0] + halves[1]) == sorted(whole) and len(halves[0]) == 15
    assert sorted(served(3, 3, 9, Share())) != sorted(whole) and sorted(served(4, 0, 9, Share())) != sorted(whole)


def test_lighting_shifts_along_the_principal_colours() -> None:
    write_tree(Path("pets"), ("train", "test"))
    plain, lit = (folder("pets", crop="centre", flip=False, lighting=amount) for amount in (0.0, 0.1))
    pixels = plain.train[0].reshape(-1, 3).double().numpy() / 255
    values, vectors = np.linalg.eigh(np.cov(pixels.T))
    rows = torch.arange(27)
    shifts = []
    for number in range(200):
        one, two = (data.served("train", 1, data.train, rows, number)[0] for data in (plain, lit))
        shift = two - one
        assert float(shift.std(dim=(2, 3)).max()) < 1e-5  # the same for all pixels of a picture
        shifts.append(shift.mean((2, 3)) * torch.tensor(lit.transform["std"]))
    strengths = torch.cat(shifts).double().numpy() @ vectors / values  # (5400, 3)
    np.testing.assert_allclose(strengths.std(0), 0.1, rtol=0.05)
    np.testing.assert_allclose(strengths.mean(0), 0, atol=0.006)


def test_evaluation_changes_nothing() -> None:
    data = folder(write_tree(Path("pets"), ("train", "test")), lighting=0.1)
    for part in ("val", "test"):
        (batch,) = data.batches(part)
        for a, b in zip(batch, data.ready(part), strict=True):
            assert torch.equal(a, b)


# --- streamed from files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("views", [1, 10])
def test_evaluation_is_torchvisions_usual_one(views: int) -> None:
    from torchvision import transforms

    write_tree(Path("pets"), ("train", "test"), size=(300, 260))
    data = folder("pets", image_size=224, views=views)
    crop = [transforms.CenterCrop(224)] if views == 1 else [transforms.CenterCrop(256), transforms.TenCrop(224)]
    cut = transforms.Compose([transforms.Resize(256), *crop])
    finish = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize(data.transform["mean"], data.transform["std"])]
    )
    images, labels = next(iter(data.batches("test")))
    for name, image in list(zip(data.parts["test"].names, images, strict=False))[:2]:
        made = cut(Image.open(Path("pets") / name))
        expected = finish(made) if views == 1 else torch.stack([finish(view) for view in made])
        torch.testing.assert_close(image, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(data.ready("test", slice(0, len(images)))[0], images)
    assert labels.tolist() == data.parts["test"].targets[: len(labels)]
    assert next(iter(data.batches("val")))[0].shape[1:] == (3, 224, 224)


@pytest.mark.parametrize("crop", ["centre", "random", "resized"])
def test_neither_workers_nor_global_draws_change_what_is_streamed(crop: str) -> None:
    write_tree(Path("pets"), ("train", "test"))
    batches = []
    for workers in (0, 2) if crop == "resized" else (0, 0):
        data = folder("pets", held=False, crop=crop, num_workers=workers)
        before = torch.get_rng_state()
        batches.append(list(data.batches("train", 1, lambda: 0)))
        assert torch.equal(torch.get_rng_state(), before)
        torch.rand(3)
    assert isinstance(data.batches("train"), Stream) and len(batches[0]) == len(data.batches("train")) == 4
    for one, two in zip(*batches, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_workers_serve_one_epoch_after_the_other() -> None:
    write_tree(Path("pets"), ("train", "test"))
    data = folder("pets", held=False, num_workers=1)
    first = 0
    loader = data.batches("train", 1, lambda: first)
    for first in (0, 4, 9):
        alone = folder("pets", held=False).batches("train", 1, lambda first=first: first)
        for a, b in zip(alone, loader, strict=True):
            assert torch.equal(a[0], b[0])


@pytest.mark.parametrize("views", [1, 10])
def test_a_batch_too_small_for_all_processes_is_empty_in_some(views: int) -> None:
    write_tree(Path("pets"), ("train", "test"))
    data = folder("pets", held=False, batch_size=13, views=views)  # 13, 13, 1
    part = "train" if views == 1 else "test"
    shares = [list(data.batches(part, share=Share(rank, 2))) for rank in range(2)]
    assert len(shares[0]) == len(shares[1]) > 1 and len(shares[0][0][1]) in (7, 1)
    assert sum(len(labels) for share in shares for _, labels in share) == len(data.parts[part].names)
    assert views == 10 or shares[1][-1][0].shape == (0, 3, 16, 16)


def test_a_reader_can_be_sent_to_another_process(tmp_path: Path) -> None:
    """As where workers are not forked; the open .zip stays here."""
    data = folder(zipped(write_tree(Path("pets"), ("train", "test")), tmp_path / "pets.zip"), held=False)
    reader = data.reader("train", 1)
    again = pickle.loads(pickle.dumps(reader))
    for key in ((0, 0), (3, 5)):
        assert torch.equal(reader[key][0], again[key][0])


def test_a_network_that_takes_no_views_is_told_so_before_training() -> None:
    write_tree(Path("pets"))
    of_pets = ["data=image_folder", "data.root=pets", "data.image_size=32", "data.held=false", "data.views=10"]
    with pytest.raises(ConfigError, match="model=mlp does not fit data=image_folder.* got 30720"):
        assemble(compose_settings(["model=mlp", *of_pets]))
    assemble(compose_settings(["model=alexnet", "model.variant=cifar", *of_pets]))


def test_phases_that_see_some_pictures_need_them_in_memory() -> None:
    data = folder(write_tree(Path("pets")), held=False)
    with pytest.raises(ConfigError, match="needs them in memory: data.held=true"):
        data.batches("train", 1, lambda: 0, rows=lambda step: torch.arange(2))


@pytest.mark.parametrize("workers", [0, 1])
def test_damaged_files_in_mid_run_are_named_once_and_counted(workers: int, capsys: pytest.CaptureFixture[str]) -> None:
    tree = write_tree(Path("pets"), ("train", "test"))
    data = folder(tree, held=False, num_workers=workers)
    spoilt = [data.parts["train"].names[i] for i in (3, 4, 26)]
    for name in spoilt:
        (tree / name).write_bytes(b"")
    for first in (0, 4):
        batches = list(data.batches("train", 1, lambda first=first: first))
        assert sum(len(labels) for _, labels in batches) == 27
    assert set(data.damaged) == set(spoilt)
    said = capsys.readouterr().err
    assert all(said.count(f"damaged: {name} (") == 1 for name in spoilt) and "; 3 so far" in said


@pytest.mark.parametrize("workers", [0, 1])
def test_a_split_without_a_readable_picture_ends_in_a_line(workers: int) -> None:
    tree = write_tree(Path("pets"), ("train", "test"))
    data = folder(tree, held=False, num_workers=workers)
    for path in tree.glob("test/*/*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="^pets: no picture can be read, such as test/") as caught:
        list(data.batches("test"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"crop": "random"}, "crop must be one of centre, padded, got 'random'"),
        ({"crop": "padded", "held": False}, "crop must be one of centre, random, resized, got 'padded'"),
        ({"views": 10}, "views must be 1, or 10 where pictures are not held in memory, got 10"),
        ({"views": 5, "held": False}, "views must be 1, or 10"),
        ({"validation": 0.0}, r"validation must lie in \(0, 1\), got 0.0"),
        ({"num_workers": -1}, "num_workers must be >= 0 or null, got -1"),
        ({"lighting": -0.1}, r"lighting must lie in \[0, 10\), got -0.1"),
        ({"image_size": 4}, "image_size must be >= 8, got 4"),
    ],
)
def test_bad_values_are_named(given: dict[str, Any], words: str) -> None:
    write_tree(Path("pets"))
    with pytest.raises(ConfigError, match=words):
        folder("pets", **given)
