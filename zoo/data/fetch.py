"""One way for a data file to arrive: fetched with a time limit, checked by size and SHA-256, then renamed into place.

A file that is there is checked on every use: a damaged or half-copied one is named, never read.
"""

import contextlib
import gzip
import hashlib
import http.client
import os
import shutil
import sys
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from zoo.errors import DataError, OutputError

try:
    import fcntl
except ImportError:  # Windows: whoever comes fetches for itself
    fcntl = None  # type: ignore[assignment]

SECONDS = 20.0  # patience with a server that sends nothing
SLOWEST = 2000  # bytes a second; a server that sends less for SECONDS is given up
LARGEST = 4 << 30  # bytes of a file whose size only the server knows
TRIES = 3  # for answers that may change: 5xx, a broken connection
PAUSE = 1.0  # seconds before the second try, twice that before the third


class File(NamedTuple):
    """What a file must be: its name, the SHA-256 and the size in bytes of what lies on the disk.

    size: None: what the server declares, up to LARGEST.
    """

    name: str
    sha256: str
    size: int | None


def fetch(url: str, target: Path, file: File) -> Path:
    """Make sure that `target` is the file meant, downloading it where it is not there.

    What is sent as .gz is unpacked, unless the target's name ends in .gz too.
    Raises DataError for a damaged file, a failed download or a wrong content; OutputError where it cannot be written.
    """
    if target.exists():
        return checked(target, file)
    with turn(target, file):
        return checked(target, file) if target.exists() else tried(url, target, file)


def checked(target: Path, file: File) -> Path:
    """The file that is there, if it is the one meant. Raises DataError."""
    try:
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {target}: {error.strerror}") from error
    if digest != file.sha256:
        raise DataError(
            f"{target} is damaged: SHA-256 {digest[:12]}..., expected {file.sha256[:12]}...; "
            f"delete it to have it fetched again"
        )
    return target


@contextlib.contextmanager
def turn(target: Path, file: File) -> Iterator[None]:
    """One process at a time fetches into a folder; the others wait, and find what it has fetched.

    The lock is the folder's own, which the system takes back when a process ends in whatever way.
    """
    made = [folder for folder in target.parents if not folder.exists()]
    lock = locked(target.parent, file)
    try:
        if lock is not None:
            for left in target.parent.glob(f".{target.name}.*.part"):  # by one that was killed
                left.unlink(missing_ok=True)
        yield
    finally:
        for folder in made:
            with contextlib.suppress(OSError):  # something has come into it
                folder.rmdir()
        if lock is not None:
            os.close(lock)


def locked(folder: Path, file: File) -> int | None:
    """The folder, made if need be, opened and locked; None where it cannot be: each process fetches for itself then."""
    while fcntl is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(folder, os.O_RDONLY)
        except OSError:  # whoever writes there will say so
            break
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{file.name}: another process is fetching into {folder}, this one waits", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            os.close(lock)
            break
        if folder.exists() and os.path.samestat(os.fstat(lock), os.stat(folder)):
            return lock
        os.close(lock)  # the other one had no success, and took the empty folder away
    return None


def tried(url: str, target: Path, file: File) -> Path:
    """Download it, three times if need be. Raises DataError, OutputError."""
    for attempt in range(1, TRIES + 1):
        try:
            return download(url, target, file)
        except urllib.error.HTTPError as error:
            error.close()  # it is the answer itself
            if error.code < 500 or attempt == TRIES:
                raise missing(url, target, f"the server answered {error.code}") from error
        except urllib.error.URLError as error:  # no network, no such host: it will not change in seconds
            raise missing(url, target, str(error.reason)) from error
        except (OSError, http.client.HTTPException, EOFError, zlib.error) as error:  # what is written has its own
            if attempt == TRIES:
                raise missing(url, target, str(error) or type(error).__name__) from error
        except ValueError as error:  # an address, perhaps that of a redirect, that is none
            raise missing(url, target, str(error)) from error
        time.sleep(PAUSE * attempt)
    raise AssertionError("the loop returns or raises")


def missing(url: str, target: Path, why: str) -> DataError:
    """One line for a file that could not be had, whatever the server has said."""
    why = why if why.isprintable() else repr(why)
    return DataError(
        f"{target} is not there and {url} could not be fetched ({why}); put the file there, unpacked as its name says, "
        f"or say where it lies with data.root=DIR or ZOO_DATA_DIR"
    )


class NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to http."""

    def redirect_request(
        self, request: Any, answer: IO[bytes], code: int, text: str, headers: Any, address: str
    ) -> Any:
        """Refuse the one kind."""
        if request.full_url.startswith("https:") and not address.startswith("https:"):
            raise urllib.error.URLError(f"it redirects to {address}, which is not encrypted: refused")
        return super().redirect_request(request, answer, code, text, headers, address)

    def http_error_302(self, request: Any, answer: Any, *rest: Any) -> Any:
        """Close the answer where the address is none at all."""
        try:
            return super().http_error_302(request, answer, *rest)
        except ValueError:
            answer.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class Steady:
    """The body of an answer, as fast as it comes in: given up where that is less than SLOWEST for SECONDS.

    Raises TimeoutError, and ConnectionError where it ends before it is as long as the server has said.
    """

    def __init__(self, answer: Any):
        self.answer, self.left = answer, answer.length  # None: the server has not said how much will come
        self.since, self.received = time.monotonic(), 0

    def read(self, size: int) -> bytes:
        """Some of it, at most so many bytes; nothing at its end."""
        block = self.answer.read1(size if self.left is None else min(size, self.left))
        self.received += len(block)
        if self.left is not None:
            if self.left and not block:
                raise ConnectionError(f"the connection broke off, {self.left:,} bytes before the end")
            self.left -= len(block)
        if (seconds := time.monotonic() - self.since) > SECONDS:
            if self.received < SLOWEST * seconds:
                raise TimeoutError(f"it sends less than {SLOWEST:,} bytes a second")
            self.since, self.received = time.monotonic(), 0
        return block


@contextlib.contextmanager
def writing(target: Path) -> Iterator[None]:
    """What goes wrong in here is the disk's fault, not the network's. Raises OutputError."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error


def download(url: str, target: Path, file: File) -> Path:
    """Fetch into a temporary file beside the target, check, rename."""
    part = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}.part")
    digest, size, shown = hashlib.sha256(), 0, time.monotonic()
    unpack = url.endswith(".gz") and target.suffix != ".gz"
    with urllib.request.build_opener(NoDowngrade).open(url, timeout=SECONDS) as answer:
        wanted = declared(url, answer) if file.size is None else file.size
        source: Any = gzip.GzipFile(fileobj=Steady(answer)) if unpack else Steady(answer)
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            out = open(part, "wb")
        try:
            with out:
                while block := source.read(1 << 20):
                    size += len(block)
                    if size > wanted:
                        break  # not the file meant, and nothing says how much more would come
                    digest.update(block)
                    with writing(target):
                        out.write(block)
                    if time.monotonic() - shown > 1:
                        shown = time.monotonic()
                        print(f"{file.name}: {size / wanted:.0%} of {wanted:,} bytes", file=sys.stderr)
                with writing(target):
                    out.flush()
                    os.fsync(out.fileno())
            if size != wanted or digest.hexdigest() != file.sha256:
                raise DataError(
                    f"{url} is not the file expected: {size:,} bytes with SHA-256 {digest.hexdigest()[:12]}..., "
                    f"expected {wanted:,} with {file.sha256[:12]}...; nothing was kept"
                )
            with writing(target):
                os.replace(part, target)
        except gzip.BadGzipFile as error:
            raise DataError(f"{url} is not a gzip file ({error}); nothing was kept") from error
        finally:
            part.unlink(missing_ok=True)
    return target


def declared(url: str, answer: Any) -> int:
    """The size that a server declares. Raises DataError where it does not, or where that is too large."""
    length = answer.headers.get("Content-Length", "")
    if not length.isdigit() or int(length) > LARGEST:
        raise DataError(f"{url}: the server must declare a size of at most {LARGEST:,} bytes, got {length or 'none'}")
    return int(length)


def unpacked(archive: Path, folder: Path) -> Path:
    """The folder of that name in a .tar, unpacked beside it where it is not there; whole or not at all.

    Raises DataError for a damaged archive and for one whose members lead out of the folder; OutputError.
    """
    if folder.exists():
        return folder
    with writing(folder):
        part = Path(tempfile.mkdtemp(".part", f".{folder.name}.", folder.parent))
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(part, filter="data")  # no absolute path, no .., no link out of it, no device
        if not (part / folder.name).is_dir():
            raise tarfile.TarError(f"it has no folder {folder.name}")
        (part / folder.name).rename(folder)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"cannot unpack {archive}: {error}") from error
    except OSError as error:
        if not folder.exists():  # else another process has unpacked it at the same time
            raise OutputError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder
