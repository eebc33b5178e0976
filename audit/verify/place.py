"""Where the files of a log are read from: a folder, or a web server that publishes the same paths.

Reading is bounded: a file is never longer in memory than its kind can be.
"""

from __future__ import annotations

import http.client
import json
import os
import stat
import urllib.error
import urllib.parse
import urllib.request
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

TIMEOUT_S: Final = 30.0  # for one answer of a server to begin, and for each part of it
LISTING_BYTES_MAX: Final = 1_048_576  # of the months that a server has; 4 streams of 1 000 years take half of it


class UnreadError(Exception):
    """A file cannot be had. The reason in both languages."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(f"{zh}。{en}")
        self.zh, self.en = zh, en


class MissingError(UnreadError):
    """A file is not there."""

    def __init__(self) -> None:
        super().__init__("文件缺失", "the file is missing")


class Place(Protocol):
    """The files of one month."""

    label: str
    folder: Path | None

    def read(self, path: str, most: int) -> bytes:
        """Return a file of at most so many octets. Errors: MissingError, UnreadError."""


class Folder:
    """See Place. A month in a folder."""

    def __init__(self, folder: Path, label: str) -> None:
        self.folder: Path | None = folder
        self.label = label
        self._root = f"{folder}/"

    def read(self, path: str, most: int) -> bytes:
        return read_file(self._root + path, most)


def read_file(path: str | Path, most: int) -> bytes:
    """Return a regular file of at most so many octets. Errors: MissingError, UnreadError."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingError from None
    except (OSError, ValueError) as error:
        raise UnreadError(f"文件无法读取（{error}）", f"the file cannot be read ({error})") from None
    try:
        about = os.fstat(opened)
        if not stat.S_ISREG(about.st_mode):
            raise UnreadError("不是普通文件", "this is no regular file")
        if about.st_size > most:
            raise _too_long(about.st_size, most)
        wanted = about.st_size + 1  # one more than there is: a short read is the end of a regular file
        data = os.read(opened, wanted)
        while len(data) == wanted <= most:
            data += os.read(opened, most + 1 - wanted)
            wanted = most + 1
    except OSError as error:
        raise UnreadError(f"文件无法读取（{error}）", f"the file cannot be read ({error})") from None
    finally:
        os.close(opened)
    if len(data) > most:
        raise _too_long(len(data), most)
    return data


def open_file(path: Path) -> BinaryIO:
    """Open a regular file for reading, and nothing that would be waited for. Errors: UnreadError."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if stat.S_ISREG(os.fstat(opened).st_mode):
            return os.fdopen(opened, "rb")
        os.close(opened)
    except FileNotFoundError:
        raise MissingError from None
    except (OSError, ValueError) as error:
        raise UnreadError(f"文件无法读取（{error}）", f"the file cannot be read ({error})") from None
    raise UnreadError("不是普通文件", "this is no regular file")


def _too_long(octets: int, most: int) -> UnreadError:
    return UnreadError(
        f"文件过长：{octets} 字节，最多 {most} 字节", f"the file is too long: {octets} octets, at most {most}"
    )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A token goes to the server that was named, and to no other."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Server:
    """A web server that publishes logs. ``base``: what all paths stand behind."""

    def __init__(self, base: str, token: str = "") -> None:
        if urllib.parse.urlsplit(base).scheme not in ("http", "https"):
            raise ValueError(base)
        self.base = base.rstrip("/") + "/"
        self._head = {"Accept-Encoding": "gzip, identity", "User-Agent": "saltern-log-verify"}
        if token:
            self._head["Authorization"] = f"Bearer {token}"
        self._opener = urllib.request.build_opener(_NoRedirect)

    def read(self, path: str, most: int) -> bytes:
        """Return what is at a path. Errors: UnreadError."""
        url = self.base + path
        request = urllib.request.Request(url, headers=self._head)  # noqa: S310 -- __init__ looked at the scheme
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                packed = answer.headers.get("Content-Encoding", "") == "gzip"
                data: bytes = answer.read(most + 1)
                if packed:
                    data = _unpacked(data, most)
        except urllib.error.HTTPError as error:
            error.close()
            told = f"{error.code} {error.reason}"
            raise UnreadError(f"服务器不给出此文件（{told}）", f"the server does not give this file ({told})") from None
        except (OSError, http.client.HTTPException, ValueError, zlib.error) as error:
            raise UnreadError(f"无法从服务器读取（{error}）", f"it cannot be read from the server ({error})") from None
        if len(data) > most:
            raise _too_long(len(data), most)
        return data

    def months(self) -> dict[str, list[str]]:
        """Return the months of each stream that the server has. Errors: UnreadError."""
        data = self.read("", LISTING_BYTES_MAX)
        try:
            streams = json.loads(data)["streams"]
            return {str(stream): sorted(map(str, months)) for stream, months in streams.items()}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise UnreadError("服务器给出的月份清单无法读取", "the server's list of months cannot be read") from None


def _unpacked(data: bytes, most: int) -> bytes:
    """Errors: zlib.error."""
    unpacker = zlib.decompressobj(wbits=31)
    return unpacker.decompress(data, most + 1)


class Published:
    """See Place. A month on a web server."""

    folder: Path | None = None

    def __init__(self, server: Server, path: str, label: str) -> None:
        self._server, self._path = server, path
        self.label = label

    def read(self, path: str, most: int) -> bytes:
        return self._server.read(self._path + path, most)
