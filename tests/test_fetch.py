"""Downloads from a server on this machine that does what servers do: fail, stall, lie, and sometimes deliver."""

import contextlib
import gzip
import hashlib
import io
import tarfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request

import pytest

from zoo.data import fetch as module
from zoo.data.fetch import File, NoDowngrade, fetch, unpacked
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
        elif self.path == "/crawl":
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            with contextlib.suppress(OSError):
                for i in range(100):
                    self.wfile.write(CONTENT[i : i + 1])
                    time.sleep(0.1)
        elif self.path == "/astray":
            self.send_response(302)
            self.send_header("Location", "http://[nowhere/thing")
            self.end_headers()
        elif self.path == "/cut" or (self.path == "/once-cut" and times == 1):
            self.answer(CONTENT[: len(CONTENT) // 2], len(CONTENT))
        elif self.path == "/endless":
            self.answer(CONTENT + b"x" * 10_000_000)
        elif self.path == "/html":
            self.answer(b"<html>please log in</html>")
        elif self.path == "/garbage":
            self.wfile.write(b"\x1b[2Jgarbage\r\n\r\n")
        elif self.path == "/not.gz":
            self.answer(b"<html>please log in</html>")
        elif self.path in ("/thing.gz", "/packed.gz"):
            self.answer(gzip.compress(CONTENT, mtime=0))
        elif self.path == "/cut.gz":
            self.answer(gzip.compress(CONTENT)[:-100])
        else:
            time.sleep(self.path == "/slow")
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


@pytest.mark.parametrize("path", ["/thing", "/thing.gz", "/once-500", "/once-cut"])
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
        ("/crawl", "it sends less than 2,000 bytes a second", 3),
        ("/astray", "could not be fetched", 1),
        ("/cut", "the connection broke off, 524,288 bytes before the end", 3),
        ("/cut.gz", "could not be fetched", 3),
        ("/garbage", "could not be fetched", 3),
        ("/endless", "not the file expected", 1),
        ("/html", "not the file expected", 1),
        ("/not.gz", "not a gzip file", 1),
    ],
)
def test_a_bad_answer_leaves_nothing(
    server: str, path: str, words: str, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if path in ("/stall", "/crawl"):  # elsewhere a busy machine may take its time
        monkeypatch.setattr(module, "SECONDS", 0.5)
    with pytest.raises(DataError, match=words) as caught:
        fetch(server + path, tmp_path / "thing", FILE)
    assert str(caught.value).isprintable()
    assert list(tmp_path.iterdir()) == []
    assert len(Server.asked) == times


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


def test_what_a_killed_process_has_left_is_swept_away(server: str, tmp_path: Path) -> None:
    (tmp_path / ".thing.123.456.part").write_bytes(CONTENT[:100])
    (tmp_path / ".other.123.456.part").write_bytes(b"")  # of another file: nobody's business here
    fetch(server + "/thing", tmp_path / "thing", FILE)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.123.456.part", "thing"]


def test_one_process_fetches_and_the_others_find_it(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    targets = [tmp_path / "deep" / "thing"] * 3
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda target: fetch(server + "/slow", target, FILE), targets))
    assert Server.asked == ["/slow"]
    assert capsys.readouterr().err.count("thing: another process is fetching into") == 2


def test_where_folders_cannot_be_locked_each_fetches_for_itself(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(module.fcntl, "flock", refuse)
    assert fetch(server + "/thing", tmp_path / "a" / "thing", FILE).read_bytes() == CONTENT
    monkeypatch.setattr(module, "fcntl", None)
    assert fetch(server + "/thing", tmp_path / "b" / "thing", FILE).read_bytes() == CONTENT


def tar_with(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, size: int = 1, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    about = tarfile.TarInfo(name)
    about.size, about.type, about.linkname = size, kind, link
    return about


def test_an_archive_is_unpacked_whole_or_not_at_all(tmp_path: Path) -> None:
    good = tar_with(tmp_path / "good.tar.gz", member("set/one"), member("set/two"))
    (tmp_path / "data").mkdir()
    assert sorted(path.name for path in unpacked(good, tmp_path / "data" / "set").iterdir()) == ["one", "two"]
    assert unpacked(Path("nothing.tar"), tmp_path / "data" / "set")  # it is there
    bad = {
        "up": [member("../out")],
        "absolute": [member(str(tmp_path / "out"), kind=tarfile.SYMTYPE, size=0, link="/etc")],
        "link": [member("set/link", 0, tarfile.SYMTYPE, "../../.."), member("set/link/out")],
        "device": [member("set/null", 0, tarfile.CHRTYPE)],
        "other": [member("elsewhere/one")],
    }
    for name, members in bad.items():
        archive = tar_with(tmp_path / f"{name}.tar.gz", *members)
        with pytest.raises(DataError, match=f"cannot unpack .*{name}.tar.gz: "):
            unpacked(archive, tmp_path / "data" / "bad")
    raw = good.read_bytes()
    for content in (b"", raw[:-9], raw[:40], b"<html>", raw[:-8] + bytes(8)):
        good.write_bytes(content)
        with pytest.raises(DataError, match="cannot unpack .*good.tar.gz: "):
            unpacked(good, tmp_path / "data" / "bad")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["set"]
    assert not (tmp_path / "out").exists()
    with pytest.raises(OutputError, match="cannot write"):
        unpacked(good, tmp_path / "nowhere" / "set")


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
