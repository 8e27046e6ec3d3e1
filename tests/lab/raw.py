"""HTTP over a bare socket: what is sent is what was written, which no client library would send."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """What came back. `status` 0: the connection was closed without an answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def connect(lab: str, timeout: float = 120) -> socket.socket:
    """A connection to the server at this address."""
    place = urlsplit(lab)
    assert place.hostname is not None
    return socket.create_connection((place.hostname, place.port or 80), timeout=timeout)


def request(
    lab: str, target: str = "/", method: str = "GET", body: bytes = b"", **headers: str | None
) -> bytes:
    """A request; a header None is left out, `content_length` is written `content-length`."""
    given: dict[str, str | None] = {"host": urlsplit(lab).netloc}
    if method not in ("GET", "HEAD"):
        given |= {"x-neocog": "1", "content-length": str(len(body))}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [
        f"{method} {target} HTTP/1.1",
        *(f"{name}: {value}" for name, value in given.items() if value is not None),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def read(connection: socket.socket) -> Answer:
    """The next answer on a connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            more = connection.recv(65536)
        except ConnectionResetError:
            more = b""
        if not more:
            return Answer(0, {}, data)
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", "0"))
    while len(body) < length:
        body += connection.recv(65536)
    return Answer(int(first.split()[1]), headers, body)


def talk(lab: str, sent: bytes) -> Answer:
    """The answer to one request on a connection of its own."""
    with connect(lab) as connection:
        connection.sendall(sent)
        return read(connection)


def ask(lab: str, target: str = "/", method: str = "GET", body: bytes = b"", **headers: str | None) -> Answer:
    """`talk` with a `request`."""
    return talk(lab, request(lab, target, method, body, **headers))
