"""Downloads from a server on this machine that does what servers do: fail, stall, lie, and sometimes deliver."""

import gzip
import hashlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request

import pytest

from zoo.data import fetch as module
from zoo.data.fetch import File, NoDowngrade, fetch
from zoo.errors import DataError, OutputError

CONTENT = bytes(range(256)) * 4096
FILE = File("thing", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


class Server(BaseHTTPRequestHandler):
    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        times = self.asked.count(self.path)
        if self.path == "/404":
            self.send_error(404)
        elif self.path == "/500" or (self.path == "/once-500" and times == 1):
            self.send_error(500)
        elif self.path == "/stall":
            self.send_response(200)
            self.end_headers()
            self.rfile.read(1)  # until the client gives up
        elif self.path == "/cut":
            self.answer(CONTENT[: len(CONTENT) // 2], len(CONTENT))
        elif self.path == "/endless":
            self.answer(CONTENT + b"x" * 10_000_000)
        elif self.path == "/html":
            self.answer(b"<html>please log in</html>")
        elif self.path == "/garbage":
            self.wfile.write(b"garbage\r\n\r\n")
        elif self.path == "/not.gz":
            self.answer(b"<html>please log in</html>")
        elif self.path in ("/thing.gz", "/packed.gz"):
            self.answer(gzip.compress(CONTENT, mtime=0))
        elif self.path == "/cut.gz":
            self.answer(gzip.compress(CONTENT)[:-100])
        else:
            self.answer(CONTENT)

    def answer(self, body: bytes, length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client had seen enough

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    Server.asked = []
    monkeypatch.setattr(module, "PAUSE", 0.01)
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


@pytest.mark.parametrize("path", ["/thing", "/thing.gz", "/once-500"])
def test_a_good_answer_is_kept_whole(server: str, path: str, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "thing"
    assert fetch(server + path, target, FILE) == target
    assert target.read_bytes() == CONTENT
    asked = len(Server.asked)
    fetch(server + path, target, FILE)
    assert len(Server.asked) == asked  # it is there: nobody is asked again


def test_what_is_to_lie_packed_on_the_disk_stays_packed(server: str, tmp_path: Path) -> None:
    packed = gzip.compress(CONTENT, mtime=0)
    file = File("packed.gz", hashlib.sha256(packed).hexdigest(), len(packed))
    assert fetch(server + "/packed.gz", tmp_path / file.name, file).read_bytes() == packed


@pytest.mark.parametrize(
    ("path", "words", "times"),
    [
        ("/404", "the server answered 404", 1),
        ("/500", "the server answered 500", 3),
        ("/stall", "timed out", 3),
        ("/cut", "could not be fetched|not the file expected", None),
        ("/cut.gz", "could not be fetched", None),
        ("/garbage", "could not be fetched", 3),
        ("/endless", "not the file expected", 1),
        ("/html", "not the file expected", 1),
        ("/not.gz", "not a gzip file", 1),
    ],
)
def test_a_bad_answer_leaves_nothing(
    server: str, path: str, words: str, times: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if path == "/stall":  # elsewhere a busy machine may take its time
        monkeypatch.setattr(module, "SECONDS", 0.5)
    with pytest.raises(DataError, match=words):
        fetch(server + path, tmp_path / "thing", FILE)
    assert list(tmp_path.iterdir()) == []
    assert times in (None, len(Server.asked))


def test_without_a_server_the_answer_is_quick_and_leaves_nothing(tmp_path: Path) -> None:
    started = time.perf_counter()
    with pytest.raises(DataError, match=r"thing is not there and .* could not be fetched"):
        fetch("http://127.0.0.1:9/thing", tmp_path / "deep" / "thing", FILE)
    assert time.perf_counter() - started < 6  # three tries with their pauses
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_named_and_kept(tmp_path: Path) -> None:
    target = tmp_path / "thing"
    target.write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(DataError, match="thing is damaged: SHA-256 .* delete it"):
        fetch("http://127.0.0.1:9/thing", target, FILE)
    assert target.exists()
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="cannot read .*folder: Is a directory"):
        fetch("http://127.0.0.1:9/thing", tmp_path / "folder", FILE)


def test_a_place_that_cannot_be_written_is_named(server: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        fetch(server + "/thing", tmp_path / "file" / "thing", FILE)


def test_no_downgrade_to_http() -> None:
    with pytest.raises(URLError, match="not encrypted: refused"):
        NoDowngrade().redirect_request(Request("https://a/x"), None, 301, "", {}, "http://a/x")


def test_eight_at_once_all_get_the_file(server: str, tmp_path: Path) -> None:
    target, failures = tmp_path / "thing", []

    def one() -> None:
        try:
            fetch(server + "/thing", target, FILE)
        except Exception as error:  # noqa: BLE001  (whatever it is, the test must see it)
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert target.read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["thing"]
