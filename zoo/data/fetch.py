"""One way for a data file to arrive: fetched with a time limit, checked by size and SHA-256, then renamed into place.

A file that is there is checked on every use: a damaged or half-copied one is named, never read.
"""

import contextlib
import gzip
import hashlib
import http.client
import os
import sys
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from zoo.errors import DataError, OutputError

SECONDS = 20.0  # patience with a server that sends nothing
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
    for attempt in range(1, TRIES + 1):
        try:
            return download(url, target, file)
        except urllib.error.HTTPError as error:
            error.close()  # it is the answer itself
            if error.code < 500 or attempt == TRIES:
                raise missing(url, target, f"the server answered {error.code}") from error
        except (TimeoutError, ConnectionError, http.client.HTTPException, EOFError, zlib.error) as error:
            if attempt == TRIES:
                raise missing(url, target, str(error) or type(error).__name__) from error
        except urllib.error.URLError as error:  # no network, no such host: it will not change in seconds
            raise missing(url, target, str(error.reason)) from error
        time.sleep(PAUSE * attempt)
    raise AssertionError("the loop returns or raises")


def missing(url: str, target: Path, why: str) -> DataError:
    """One line for a file that could not be had."""
    return DataError(
        f"{target} is not there and {url} could not be fetched ({why}); put the file there, or say where it lies "
        f"with data.root=DIR or ZOO_DATA_DIR"
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
        source: Any = gzip.GzipFile(fileobj=answer) if unpack else answer
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
