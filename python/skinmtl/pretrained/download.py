"""A large file over HTTP: goes on where a cut connection or an earlier run left off."""

from __future__ import annotations

import fcntl
import http.client
import os
import re
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO, Any, Iterator, NamedTuple

from tqdm import tqdm

import skinmtl
from caffe_files.errors import InputError

BLOCK = 1 << 18
TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)  # statuses of a server that may answer later
OTHER_RANGE = 416
DIGITS = "[0-9]{1,18}"
LARGEST = 2 << 30  # bytes of a file whose size no source states: the weights that are known have a tenth
MOST_TRIES = 100  # of one run, however much each brings


class Patience(NamedTuple):
    """Seconds without a byte before a try is given up, tries without one in a row, seconds before the second try.

    So often, too, what has come may prove to be of another file and be thrown away.
    """

    timeout: float = 60
    tries: int = 4
    pause: float = 1


class DownloadError(Exception):
    """The file cannot be had from there: the message says why, in a few words."""


class _TryAgainError(Exception):
    """A try that another may better."""


def download(url: str, part: Path, size: int | None, patience: Patience) -> None:
    """Fetches `url` to the file `part`, whole. What `part` has already is not fetched again.

    `part`.tag keeps the server's mark of the file's version (ETag or date), so that halves of two versions never meet.
    DownloadError where the server has no such file, one that is not of `size` bytes (None: that is above LARGEST), or
    cannot be reached; `part` stays as far as it came. InputError where another run is fetching it.
    """
    tag = part.with_name(part.name + ".tag")
    with open(str(part), "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{part}: is being fetched by another run; wait for that") from None
        try:
            with tqdm(total=size, unit="B", unit_scale=True, desc=part.stem, disable=None) as bar:
                _fetch_patiently(url, file, tag, size, patience, bar)
        finally:
            if not _length(file):
                part.unlink()
                _forget(tag)
    _forget(tag)


def _fetch_patiently(url: str, file: IO[bytes], tag: Path, size: int | None, patience: Patience, bar: tqdm) -> None:
    failed = thrown_away = 0
    for _ in range(MOST_TRIES):
        before = _length(file)
        try:
            return _fetch(url, file, tag, size, patience.timeout, bar)
        except _TryAgainError as error:
            failed = 1 if _length(file) > before else failed + 1
            thrown_away += _length(file) < before
            said = str(error)
            if thrown_away == patience.tries:
                raise DownloadError(f"{error}, and does so again and again") from None
            if failed == patience.tries:
                raise DownloadError(f"{error}, {failed} times in a row") from None
        time.sleep(patience.pause * 2 ** (failed - 1))
    raise DownloadError(f"{said}, {MOST_TRIES} times")


def _fetch(url: str, file: IO[bytes], tag: Path, size: int | None, timeout: float, bar: tqdm) -> None:
    """One request, for what is missing; returns when the file is whole."""
    start = _length(file)
    if size is not None and start == size:
        return
    headers = {"User-Agent": f"skinmtl/{skinmtl.__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if tag.exists():
            headers["If-Range"] = tag.read_text(encoding="latin-1")
    response = _open(urllib.request.Request(url, headers=headers), timeout, file)
    if response is None:
        return
    with response:
        total = _total(response)
        if size is not None and total is not None and total != size:
            raise DownloadError(f"has a file of {total:,} bytes, not the published one of {size:,}")
        if size is None and (total or 0) > LARGEST:
            raise DownloadError(f"has a file of {total:,} bytes, far more than weights are")
        if response.status == 206 and _first(response) != start:
            file.truncate(0)
            raise _TryAgainError("sends another part than asked for")
        if response.status != 206:  # the server knows no parts, or its file is another one now
            file.truncate(0)
            start = 0
            _write_tag(response, tag)
        bar.total = total or size
        bar.n = start
        bar.refresh()
        for block in _blocks(response):
            file.write(block)
            bar.update(len(block))
            start += len(block)
            if size is not None and start > size:
                file.truncate(0)
                raise DownloadError(f"sends more than the published {size:,} bytes")
            if start > LARGEST and size is None:
                file.truncate(0)
                raise DownloadError(f"sends more than {LARGEST:,} bytes, far more than weights are")
    if _length(file) < (total or size or 0):
        raise _TryAgainError("cut the connection")


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """Follows a server to another address of http or https: urllib would go to FTP too."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urllib.parse.urlsplit(newurl).scheme not in ("http", "https"):
            raise DownloadError(f"sends on to {newurl!r}, which is no http or https address")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(request: urllib.request.Request, timeout: float, file: IO[bytes]) -> http.client.HTTPResponse | None:
    """The answer to a request; None where nothing is missing."""
    try:
        return urllib.request.build_opener(_WebOnly).open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        length = _length(file)
        if error.code == OTHER_RANGE and length:
            if error.headers.get("Content-Range") == f"bytes */{length}":
                return None
            file.truncate(0)
            raise _TryAgainError("has a shorter file than its first part here") from None
        if error.code in TRY_AGAIN:
            raise _TryAgainError(f"answers {error.code} {error.reason}") from None
        raise DownloadError(f"answers {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        reason = error.reason
        words = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        if isinstance(reason, (socket.gaierror, ConnectionRefusedError, ssl.SSLError)):  # now as in a second
            raise DownloadError(f"cannot be reached ({words})") from None
        raise _TryAgainError(f"cannot be reached ({words})") from None
    except (http.client.InvalidURL, ValueError, UnicodeError):
        raise DownloadError("is no address of a file") from None
    except (OSError, http.client.HTTPException, OverflowError) as error:  # the last: a length beyond all memory
        raise _TryAgainError(_words(error)) from None


def _blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            block = response.read1(BLOCK)  # what has come: a whole block would be lost where the rest never comes
        except (OSError, http.client.HTTPException, OverflowError) as error:  # the last: a length beyond all memory
            raise _TryAgainError(_words(error)) from None
        if not block:
            return
        yield block


def _words(error: Exception) -> str:
    return "sends nothing" if isinstance(error, socket.timeout) else "cut the connection"


def _total(response: http.client.HTTPResponse) -> int | None:
    """The length of the whole file, where the server says it."""
    ranges = re.fullmatch(f"bytes {DIGITS}-{DIGITS}/({DIGITS})", response.headers.get("Content-Range", ""))
    if response.status == 206:
        return int(ranges.group(1)) if ranges else None
    length = response.headers.get("Content-Length", "")
    return int(length) if re.fullmatch(DIGITS, length) else None


def _first(response: http.client.HTTPResponse) -> int | None:
    ranges = re.match(f"bytes ({DIGITS})-", response.headers.get("Content-Range", ""))
    return int(ranges.group(1)) if ranges else None


def _write_tag(response: http.client.HTTPResponse, tag: Path) -> None:
    mark = response.headers.get("ETag", "")
    if not mark or mark.startswith("W/"):  # a weak one may stand for other bytes
        mark = response.headers.get("Last-Modified", "")
    if mark:
        tag.write_text(mark, encoding="latin-1")
    else:
        _forget(tag)


def _forget(tag: Path) -> None:
    if tag.exists():
        tag.unlink()


def _length(file: IO[bytes]) -> int:
    file.flush()
    return os.fstat(file.fileno()).st_size
