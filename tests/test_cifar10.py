"""CIFAR-10 from both of its sources, and ImageNet's folders."""

import hashlib
import io
import pickle
import tarfile
import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import DATA_ROOT, FOUND_PICTURES, needs
from test_checkpoint import Bomb

import zoo
from zoo.checkpoint import read_checkpoint
from zoo.data import cifar10
from zoo.data.fetch import File
from zoo.errors import ConfigError, DataError
from zoo.registry import build


def loaded(**arguments: Any) -> Any:
    data = build("data", "cifar10", {"cache": str(FOUND_PICTURES)} | arguments)
    data.load()
    return data


@needs("cifar10")
def test_the_official_split_and_five_thousand_for_validation() -> None:
    data = loaded()
    for part, count in (("train", 4500), ("val", 500), ("test", 1000)):
        images, labels = getattr(data, part)
        assert images.shape == (10 * count, 32, 32, 3) and images.dtype == torch.uint8
        assert labels.bincount().tolist() == [count] * 10
    images = data.ready("train", slice(None, None, 9))[0]
    assert images.mean((0, 2, 3)).tolist() == pytest.approx([0, 0, 0], abs=0.02)
    assert images.std((0, 2, 3)).tolist() == pytest.approx([1, 1, 1], abs=0.02)
    seen = {image.numpy().tobytes() for image in data.train[0]}
    assert sum(image.numpy().tobytes() in seen for image in data.test[0]) < 5  # the set itself has a few twice


@needs("cifar10")
def test_one_class_against_as_many_of_the_nine_others() -> None:
    data = loaded(one_class="cat")
    everything = loaded()
    assert data.provides["num_classes"] == 2 and data.transform["classes"] == ["no cat", "cat"]
    for part, count in (("train", 4500), ("val", 500), ("test", 1000)):
        images, labels = getattr(data, part)
        assert labels.bincount().tolist() == [count, count]
        label_of = {
            image.numpy().tobytes(): int(label) for image, label in zip(*getattr(everything, part), strict=True)
        }
        labels_before = torch.tensor([label_of[image.numpy().tobytes()] for image in images])
        assert torch.equal(labels_before == 3, labels == 1)
        others = labels_before[labels == 0].bincount(minlength=10).tolist()
        assert others[3] == 0 and max(others) - min(others[:3] + others[4:]) <= 1


def fake_archive(folder: Path) -> bytes:
    """As torchvision's, with 20 pictures in each of the six files; what its reader looks at besides is in there too."""
    draw = np.random.default_rng(0)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:

        def add(name: str, content: dict[str, Any]) -> None:
            raw = pickle.dumps(content)
            (folder / f"{name}.md5").write_text(hashlib.md5(raw).hexdigest())
            about = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            about.size = len(raw)
            archive.addfile(about, io.BytesIO(raw))

        for name in (*[f"data_batch_{i}" for i in range(1, 6)], "test_batch"):
            pixels = draw.integers(256, size=(20, 3072), dtype=np.uint8)
            add(name, {"data": pixels, "labels": [i % 10 for i in range(20)]})
        add("batches.meta", {"label_names": cifar10.CLASSES})
    return file.getvalue()


def test_torchvisions_archive_is_fetched_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo.torchvision_operators import declare_missing_operators

    declare_missing_operators()
    from torchvision.datasets import CIFAR10

    server_folder = tmp_path / "server"
    server_folder.mkdir()
    raw = fake_archive(server_folder)
    (server_folder / "cifar.tar.gz").write_bytes(raw)
    md5 = {path.stem: path.read_text() for path in server_folder.glob("*.md5")}
    monkeypatch.setattr(CIFAR10, "train_list", [[f"data_batch_{i}", md5[f"data_batch_{i}"]] for i in range(1, 6)])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": md5["batches.meta"]})
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(raw).hexdigest())
    archive = File("cifar-10-python.tar.gz", hashlib.sha256(raw).hexdigest(), len(raw))
    monkeypatch.setattr(cifar10, "ARCHIVE", archive)
    handler = partial(Quiet, directory=str(server_folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setattr(cifar10, "URL", f"http://127.0.0.1:{server.server_port}/cifar.tar.gz")
        data = loaded(root=str(tmp_path / "data"), validation=10)
        server.shutdown()
    assert [len(part[0]) for part in (data.train, data.val, data.test)] == [90, 10, 20]
    pixels = np.random.default_rng(0).integers(256, size=(20, 3072), dtype=np.uint8)
    pictures = {image.tobytes() for image in pixels.reshape(20, 3, 32, 32).transpose(0, 2, 3, 1)}
    assert sum(image.numpy().tobytes() in pictures for image in (*data.train[0], *data.val[0])) == 20
    again = loaded(root=str(tmp_path / "data"), validation=10)  # the server is gone
    assert torch.equal(again.test[0], data.test[0])
    assert data.fingerprint == archive.name  # and that of the .zip is another
    target = tmp_path / "exploded"
    for name in ("data_batch_3", "batches.meta"):
        file = tmp_path / "data" / cifar10.UNPACKED / name
        good = file.read_bytes()
        for content in (b"", good[:-1], bytes([good[0], good[1] ^ 1]) + good[2:], pickle.dumps(Bomb(target))):
            file.write_bytes(content)
            with pytest.raises(DataError, match="cifar-10-batches-py is damaged; delete it to have it unpacked again"):
                loaded(root=str(tmp_path / "data"))
        file.write_bytes(good)
    assert not target.exists()
    (tmp_path / "data" / archive.name).write_bytes(raw[:-1])
    with pytest.raises(DataError, match="cifar-10-python.tar.gz is damaged"):
        loaded(root=str(tmp_path / "data"))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"one_class": "cow"}, "one_class must be one of airplane, .*, or null, got 'cow'"),
        ({"validation": 5}, "validation must lie in 10 .. 49990, got 5"),
        ({"crop": "random"}, "crop must be one of centre, padded, got 'random'"),
    ],
)
def test_bad_values_are_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build("data", "cifar10", given)


def test_a_zip_of_something_else_is_refused(tmp_path: Path) -> None:
    import zipfile

    from test_pictures import write_tree

    tree = write_tree(tmp_path / "tree", ("train", "test"))
    with zipfile.ZipFile(tmp_path / cifar10.AS_JPEG, "w") as archive:
        for path in tree.rglob("*.png"):
            archive.write(path, path.relative_to(tree))
    with pytest.raises(DataError, match="does not hold the 60,000 pictures: 60 can be read"):
        loaded(root=str(tmp_path), cache=str(tmp_path / "cache"))


# --- ImageNet --------------------------------------------------------------------------------------------------------


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    """The forty sample pictures in the official layout, each three times in train/ and once in val/."""
    root = tmp_path / "imagenet"
    for path in sorted((DATA_ROOT / "imagenet-samples").glob("*.JPEG")):
        synset = path.name.partition("_")[0]
        for part, copies in (("train", 3), ("val", 1)):
            (root / part / synset).mkdir(parents=True)
            for i in range(copies):
                (root / part / synset / f"{i}_{path.name}").symlink_to(path.resolve())
    return root


@needs("imagenet")
@pytest.mark.parametrize("variant", ["paper", "torchvision"])
def test_the_full_recipes_take_three_real_steps(
    variant: str, imagenet: Path, train: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    result = train(
        f"experiment=imagenet_alexnet_{variant}", "trainer=cpu", "trainer.compile=false", f"data.root={imagenet}",
        "data.validation=0.34", "data.batch_size=8", "data.num_workers=0", "trainer.max_steps=3", "run_dir=run",
    )  # fmt: skip
    said = capsys.readouterr().err
    assert "40 classes, 120 and 40 pictures; ILSVRC 2012 has 1,000, 1,281,167 and 50,000" in said
    assert "55.25 -> 55" in said and "Why 55 and not 57" in said
    assert {"test/acc", "test/top5", "test/loss"} <= result["metrics"].keys()
    assert result["parameters"] == {"paper": 60_965_224, "torchvision": 61_100_840}[variant] - 960 * 4097
    saved = read_checkpoint("run/checkpoints/last.ckpt")
    assert saved["global_step"] == 3
    torch.manual_seed(0)
    start = zoo.create("alexnet", num_classes=40, variant=variant).state_dict()
    assert not any(torch.equal(start[key], saved["state_dict"][f"network.{key}"]) for key in start)


def test_imagenet_says_where_it_is_to_be_had(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no train/ and val/ .* https://image-net.org: unpack it there, or say"):
        build("data", "imagenet", {"root": str(tmp_path)})
