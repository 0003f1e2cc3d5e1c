"""The Hugging Face Hub, against a server on this machine that answers as the Hub does, or as it should not."""

import hashlib
import json
import os
import pickle
import subprocess
import sys
import threading
from base64 import b64decode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT
from test_checkpoint import Bomb
from torch import nn

import zoo
from zoo.checkpoint import write_whole
from zoo.errors import CheckpointError, ConfigError, OutputError
from zoo.weight_files import packed

pytest.importorskip("huggingface_hub")

from huggingface_hub import close_session, constants

from zoo import hub
from zoo.hub import HubNetwork, fetched, push

# huggingface_hub 2.4 uploads without hf_xet, as here, by an argument that its transport deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ARGUMENTS = {"in_features": 3, "num_classes": 4, "hidden_sizes": [5]}
NUMBERS = {"kind": "numbers", "features": ["a", "b", "c"], "scale": [0.25, 1.0, 1.0]}
CARD = {"model": "mlp", "arguments": ARGUMENTS, "transform": NUMBERS, "title": "A test"}
WEIGHTS = "model.safetensors"


class Hub(BaseHTTPRequestHandler):
    """What huggingface_hub 2.4 asks for to fetch a file and to push a folder. Large files lie on another host."""

    protocol_version = "HTTP/1.1"
    repositories: dict[str, dict[str, bytes]]  # owner/name -> path -> content
    large: dict[str, bytes]  # SHA-256 -> content
    asked: list[str]  # method and path
    sent: list[tuple[str, str]]  # the token to the Hub or to the other host; what the client says of itself
    refusal: tuple[int, dict[str, str]] | None  # status and headers of every answer

    def do_GET(self) -> None:
        body = self.note()
        here = f"http://127.0.0.1:{self.server.server_port}"
        if self.refusal:
            self.answer(self.refusal[0], headers=self.refusal[1])
        elif self.path.startswith("/large/"):
            if self.command == "PUT":
                self.large[self.path[7:]] = body
            self.answer(200, self.large[self.path[7:]])
        elif "/resolve/" in self.path:
            self.resolve(*self.path[1:].split("/resolve/"))
        elif self.path == "/api/repos/create":
            repository = "{organization}/{name}".format(**json.loads(body))
            self.repositories.setdefault(repository, {})
            self.tell({"url": f"{here}/{repository}"})
        elif self.path == "/api/validate-yaml":
            self.tell({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            paths = [file["path"] for file in json.loads(body)["files"]]
            modes = {path: "lfs" if path == WEIGHTS else "regular" for path in paths}
            self.tell({"files": [{"path": p, "uploadMode": modes[p], "shouldIgnore": False} for p in paths]})
        elif self.path.endswith(".git/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            actions = [{"upload": {"href": self.elsewhere(item["oid"])}} for item in objects]
            self.tell({"objects": [item | {"actions": a} for item, a in zip(objects, actions, strict=True)]})
        else:
            repository = self.path.removeprefix("/api/models/").removesuffix("/commit/main")
            for file in [json.loads(line)["value"] for line in body.splitlines()[1:]]:
                content = self.large[file["oid"]] if "oid" in file else b64decode(file["content"])
                self.repositories[repository][file["path"]] = content
            self.tell({"commitUrl": f"{here}/{repository}/commit/{COMMIT}", "commitOid": COMMIT})

    do_HEAD = do_POST = do_PUT = do_GET

    def resolve(self, repository: str, rest: str) -> None:
        revision, _, name = rest.partition("/")
        files = self.repositories.get(repository)
        if files is None or revision not in ("main", "v1", COMMIT) or name not in files:
            missing = "RepoNotFound" if files is None else "EntryNotFound" if name not in files else "RevisionNotFound"
            return self.answer(404, headers={"X-Error-Code": missing, "X-Repo-Commit": COMMIT})
        sha256 = hashlib.sha256(files[name]).hexdigest()
        self.large[sha256] = files[name]
        linked = {"X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(len(files[name]))}
        self.answer(302, headers={"X-Repo-Commit": COMMIT, "Location": self.elsewhere(sha256), **linked})

    def elsewhere(self, sha256: str) -> str:
        return f"http://localhost:{self.server.server_port}/large/{sha256}"

    def note(self) -> bytes:
        self.asked.append(f"{self.command} {self.path}")
        where = "elsewhere" if self.headers["host"].startswith("localhost") else "here"
        self.sent.append((f"{self.headers.get('authorization')} {where}", self.headers["user-agent"]))
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def tell(self, value: Any) -> None:
        self.answer(200, json.dumps(value).encode())

    def answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def use(address: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_ENDPOINT and the like would have done before the package was imported."""
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    settings = {"ENDPOINT": address, "HUGGINGFACE_CO_URL_TEMPLATE": template, "HF_HUB_CACHE": str(cache)}
    settings |= {"HF_TOKEN_PATH": str(cache / "token"), "HF_HUB_DISABLE_XET": True, "HF_HUB_OFFLINE": False}
    settings |= {"HF_HUB_DISABLE_TELEMETRY": True}  # as zoo.hub does where it is imported first
    for name, value in settings.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setenv("HF_TOKEN", "test")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    Hub.repositories, Hub.large, Hub.asked, Hub.sent, Hub.refusal = {}, {}, [], [], None
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as httpd:
        httpd.daemon_threads = True
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        use(f"http://127.0.0.1:{httpd.server_port}", tmp_path / "cache", monkeypatch)
        yield constants.ENDPOINT
        close_session()  # the connections that the client keeps
        httpd.shutdown()


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    made = zoo.create("mlp", **ARGUMENTS).eval()
    made.card = CARD
    return made


@pytest.fixture
def folder(network: nn.Module, tmp_path: Path) -> Path:
    """What `zoo publish` makes, and a file that is nobody's business."""
    made = tmp_path / "published"
    write_whole(made / WEIGHTS, packed(network, CARD))
    write_whole(made / "README.md", "---\nlicense: mit\ntags:\n- mlp\n---\n\n# Größe  \r\n\n".encode())
    write_whole(made / "config.json", b'{"model":\t"mlp", "auto_map": {"AutoModel": "evil.py"}}')
    write_whole(made / "notes.txt", b"private")
    return made


def same(one: nn.Module, other: nn.Module) -> bool:
    x = torch.randn(7, 3)
    return torch.equal(one(x), other(x))


def refused(source: str) -> str:
    """The one line that `zoo.load` refuses it with."""
    with pytest.raises(CheckpointError) as caught:
        zoo.load(source)
    assert caught.value.exit_code == 4
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_pushed_is_what_is_loaded(
    server: str, folder: Path, network: nn.Module, capsys: pytest.CaptureFixture[str]
) -> None:
    assert push(folder, "owner/name") == f"{server}/owner/name"
    assert Hub.repositories["owner/name"] == {name: (folder / name).read_bytes() for name in hub.FILES}
    loaded = zoo.load("hf://owner/name")
    assert same(loaded, network) and not loaded.training
    assert loaded.card["transform"] == loaded.transform == CARD["transform"]
    of_the_mixin = HubNetwork.from_pretrained("owner/name")
    assert same(of_the_mixin, network) and not of_the_mixin.training
    assert capsys.readouterr().out == ""
    fetches = [line for line in Hub.asked if "/resolve/" in line]
    assert fetches and all(line.endswith(WEIGHTS) for line in fetches)  # config.json is not even asked for
    assert {token for token, _ in Hub.sent} == {"Bearer test here", "None elsewhere"}


def test_the_verbs_of_the_mixin(server: str, folder: Path, network: nn.Module, tmp_path: Path) -> None:
    write_whole(folder / WEIGHTS, packed(network, CARD, "float16"))
    shared = HubNetwork(zoo.load(folder))
    shared.push_to_hub("owner/mixin")
    shared.save_pretrained(tmp_path / "saved")
    for source in ("owner/mixin", tmp_path / "saved", str(folder)):
        assert same(HubNetwork.from_pretrained(source), network)
    page = Hub.repositories["owner/mixin"]["README.md"].decode()
    assert page.startswith("---\nlicense: mit\nlibrary_name: lecture-zoo\n")
    assert json.loads(Hub.repositories["owner/mixin"]["config.json"])["arguments"] == ARGUMENTS
    assert zoo.load(tmp_path / "saved").card["store"] == "float32"
    with pytest.raises(ConfigError, match="without a card"):
        HubNetwork(nn.Linear(1, 1))
    with pytest.raises(CheckpointError, match=f"cannot read .*{WEIGHTS}: No such file"):
        HubNetwork.from_pretrained(tmp_path)


def test_a_pinned_revision_is_asked_for(server: str, folder: Path, network: nn.Module) -> None:
    push(folder, "owner/name")
    for revision in ("v1", COMMIT):
        Hub.asked.clear()
        assert same(zoo.load(f"hf://owner/name@{revision}"), network)
        assert f"HEAD /owner/name/resolve/{revision}/{WEIGHTS}" in Hub.asked
    assert same(HubNetwork.from_pretrained("owner/name", revision="v1"), network)
    assert "no such revision" in refused("hf://owner/name@v2")


def test_what_was_fetched_is_kept_and_checked(
    server: str, folder: Path, network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(folder, "owner/name")
    path = fetched("hf://owner/name")
    Hub.asked.clear()
    assert fetched("hf://owner/name") == path
    assert not [line for line in Hub.asked if line.startswith("GET")]
    assert fetched("hf://owner/name", local_files_only=True) == path
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert same(zoo.load("hf://owner/name"), network)
    assert "offline mode is enabled" in refused("hf://owner/other")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    Hub.refusal = (503, {})
    assert same(zoo.load("hf://owner/name"), network)
    assert "the server answered 503" in refused("hf://owner/other")
    Hub.refusal = (401, {})
    assert "the server answered 401" in refused("hf://owner/name")  # it is not for this user any more
    Hub.refusal = None
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    assert "another SHA-256; delete it" in refused("hf://owner/name")


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (404, {}, "the server answered 404: there is no such repository, or not for you; log in with `hf auth"),
        (404, {"X-Error-Code": "RepoNotFound"}, "the server answered 404"),
        (401, {}, "the server answered 401: .* set HF_TOKEN"),
        (403, {"X-Error-Code": "GatedRepo"}, "the repository is gated: ask for access"),
        (403, {"X-Error-Message": "Access to this resource is disabled."}, "the server answered 403"),
        (429, {"X-Error-Message": "slow\x1bdown"}, r"the server answered 429 \('slow\\x1bdown'\)"),
        (500, {}, "the server answered 500"),
        (200, {}, "missing the 'X-Repo-Commit' header|We also cannot find"),
    ],
)
def test_a_refusal_is_one_line(server: str, folder: Path, status: int, headers: dict[str, str], words: str) -> None:
    Hub.refusal = (status, headers)
    with pytest.raises(CheckpointError, match=f"^cannot fetch hf://owner/name from {server}: .*({words})") as caught:
        zoo.load("hf://owner/name")
    assert "\n" not in str(caught.value)
    if status != 200:
        with pytest.raises(OutputError, match=f"cannot push .*published to {server}/owner/name: ") as caught:
            push(folder, "owner/name")
        assert "\n" not in str(caught.value)


def test_a_pickle_is_neither_fetched_nor_executed(server: str, tmp_path: Path) -> None:
    target = tmp_path / "exploded"
    bomb = pickle.dumps(Bomb(target))
    code = b'{"auto_map": {"AutoModel": "evil.Model"}, "network": "evil", "model": "evil"}'
    Hub.repositories["owner/bomb"] = {"pytorch_model.bin": bomb, "config.json": code}
    assert f"no {WEIGHTS}, and no other file of it is read" in refused("hf://owner/bomb")
    with pytest.raises(CheckpointError, match="no other file of it is read"):
        HubNetwork.from_pretrained("owner/bomb")
    assert all(line == f"HEAD /owner/bomb/resolve/main/{WEIGHTS}" for line in Hub.asked)
    Hub.repositories["owner/bomb"][WEIGHTS] = bomb
    assert "a pickle, which could run code" in refused("hf://owner/bomb")
    assert not target.exists()
    pickle.loads(bomb)
    assert target.exists()  # the bomb was a real one


def test_damaged_weights_are_refused(server: str, folder: Path) -> None:
    good = (folder / WEIGHTS).read_bytes()
    for content in (b"", good[:100], good[:-1], good[:8] + b"x" + good[9:], b"<html>please log in</html>", b"x" * 5000):
        Hub.repositories["owner/bad"] = {WEIGHTS: content}
        assert refused("hf://owner/bad").startswith("hf://owner/bad ")


@pytest.mark.parametrize(
    "address",
    ["hf://", "hf://name", "hf://a/b/c", "hf://a/b@", "hf://a/b@../../x", "hf://a/b@/etc/x", "hf://../b", "hf://a/..",
     "hf://a/b--c", "hf://a b/c", "hf://a/b\n", "hf://ä/b", "hf://a/b?x=1", "hf:///a/b", "hf://a/b.git", "hf://a/b@x@y"],
)  # fmt: skip
def test_a_malformed_address_is_refused_before_anything_is_asked(server: str, address: str) -> None:
    assert "no address of the Hub; valid: hf://owner/name, hf://owner/name@revision" in refused(address)
    assert Hub.asked == []


def test_a_folder_that_was_not_published_is_not_pushed(
    server: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("name", "a/b/c", "a/../b", "a/b.git"):
        with pytest.raises(CheckpointError, match="is no repository; valid: owner/name"):
            push(folder, name)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(OutputError, match="no token is known; log in with `hf auth login`, or set HF_TOKEN"):
        push(folder, "owner/name")
    (folder / "README.md").unlink()
    with pytest.raises(CheckpointError, match="is not what `zoo publish` makes: it lacks README.md"):
        push(folder, "owner/name")
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=f"{WEIGHTS} is damaged"):
        push(folder, "owner/name")
    assert Hub.asked == []


def test_a_server_that_is_silent_or_not_there(server: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "SECONDS", 0.3)
    monkeypatch.setattr(Hub, "note", lambda self: self.rfile.read(1))
    assert "timed out" in refused("hf://owner/name")
    use("http://127.0.0.1:9", folder / "cache", monkeypatch)
    assert "from http://127.0.0.1:9: " in refused("hf://owner/name")
    with pytest.raises(OutputError, match="cannot push .* to http://127.0.0.1:9/owner/name: "):
        push(folder, "owner/name")


def in_its_own_process(code: str, *arguments: object, **settings: str) -> str:
    command = [sys.executable, "-c", f"import sys, zoo\n{code}", *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | settings, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout


def test_in_a_process_of_its_own_the_endpoint_is_that_of_the_environment(server: str, folder: Path) -> None:
    code = """
from zoo.hub import push
push(sys.argv[1], "owner/name")
zoo.load("hf://owner/name")
assert not {"hydra", "omegaconf", "lightning", "torchvision", "matplotlib", "sklearn"} & set(sys.modules)"""
    home = folder.parent / "home"
    settings = {"HF_ENDPOINT": server, "HF_HOME": str(home), "HF_TOKEN": "own", "HF_HUB_DISABLE_XET": "1"}
    assert in_its_own_process(code, folder, **settings) == ""
    assert list(home.rglob(WEIGHTS))
    assert {token for token, _ in Hub.sent} == {"Bearer own here", "None elsewhere"}
    assert not [agent for _, agent in Hub.sent if "torch" in agent]  # no telemetry, and not this either:
    assert "GET /api/agent-harnesses" not in Hub.asked


def test_without_the_package_the_line_says_what_to_install() -> None:
    code = """
sys.modules["huggingface_hub"] = None
try:
    zoo.load("hf://owner/name")
except zoo.errors.CheckpointError as error:
    print(error)"""
    line = in_its_own_process(code)
    assert "pip install huggingface_hub" in line and line.count("\n") == 1
