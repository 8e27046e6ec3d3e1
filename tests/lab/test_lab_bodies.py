"""What may be sent: no body without bounds in size or time, and nothing but the five kinds of pictures."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from tests.lab.labs import served
from tests.lab.raw import Answer, ask, connect, read, request

from neocog.lab.app import create_app
from neocog.lab.guard import Limits
from neocog.lab.serve import Patient

LIMIT = 100_000
ENDLESS = 20 * 2**20
"""Bytes: more than lies in the buffers of two sockets, which take what nobody reads."""


@pytest.fixture(scope="module")
def narrow() -> Iterator[str]:
    """A lab with little patience: 100 kB in half a second, and a second for the head of a request."""
    patience, Patient.patience = Patient.patience, 1.0
    with served(create_app(limits=Limits(LIMIT, 0.5, 3 * LIMIT))) as address:
        yield address
    Patient.patience = patience


@pytest.fixture(scope="module")
def predict(narrow: str) -> str:
    """Where the digit net is asked."""
    return f"/api/v1/predict/{ask(narrow, '/api/v1/runs').json[0]['id']}"


def png(side: int = 28, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), 40, np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def closed(connection: socket.socket, within: float) -> bool:
    """Whether the server closes a connection in time."""
    connection.settimeout(within)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_the_five_kinds_are_read_whatever_they_are_called(narrow: str, predict: str, kind: str) -> None:
    answer = ask(narrow, predict, "POST", png(kind=kind), content_type="text/html")
    assert answer.status == 200 and len(answer.json["answer"]["scores"]) == 10


def bomb() -> bytes:
    """A PNG of a few kilobytes that says that it has 10,000 x 10,000 pixels."""
    buffer = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(buffer, "PNG")
    return buffer.getvalue()


REFUSED = {
    "nothing": b"",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "xml": b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>",
    "html": b"<!DOCTYPE html><script>alert(1)</script>",
    "text": b"hello",
    "a path": b"/etc/passwd",
    "an address": b"http://127.0.0.1:1/x.png",
    "gif": b"GIF89a" + bytes(100),
    "pickle": b"\x80\x04\x95" + bytes(50),
    "cut": png()[:60],
    "a form": b'--x\r\nContent-Disposition: form-data; name="f"; filename="../../x"\r\n\r\n'
    + png()
    + b"\r\n--x--\r\n",
    "bomb": bomb(),
    "only a signature": b"\x89PNG\r\n\x1a\n",
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_picture_is_refused_in_one_line(narrow: str, predict: str, what: str) -> None:
    answer = ask(narrow, predict, "POST", REFUSED[what], content_type="image/png")
    assert answer.status == 422, answer
    assert set(answer.json) == {"error"} and "\n" not in answer.json["error"]
    assert b"alert" not in answer.body and answer.headers["content-type"] == "application/json"


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(narrow: str, predict: str) -> None:
    with connect(narrow) as connection:
        connection.sendall(request(narrow, predict, "POST", content_length=str(LIMIT + 1)))
        answer = read(connection)
        assert answer.status == 413 and "100,000 bytes" in answer.json["error"]
        assert closed(connection, 5)
    assert ask(narrow, predict, "POST", content_length="-1").status == 400
    assert ask(narrow, predict, "POST", content_length="1e3").status == 400


def test_a_body_of_the_largest_size_is_read(narrow: str, predict: str) -> None:
    assert ask(narrow, predict, "POST", bytes(LIMIT)).json["error"].startswith("format not allowed")


def test_an_endless_body_is_cut_off_early(narrow: str, predict: str) -> None:
    for target in (predict, "/api/v1/filter", "/api/v1/health", "/nowhere"):
        sent, answer = endless(narrow, target)
        assert answer.status in (0, 413, 404, 405), target  # 0: it was cut off before the answer was read
        assert sent < ENDLESS, target


def endless(lab: str, target: str) -> tuple[int, Answer]:
    """How many bytes of a chunked body could be sent, and the answer."""
    chunk, sent = b"1000\r\n" + bytes(4096) + b"\r\n", 0
    with connect(lab) as connection:
        connection.sendall(request(lab, target, "POST", content_length=None, transfer_encoding="chunked"))
        try:
            while sent < ENDLESS:
                connection.sendall(chunk)
                sent += len(chunk)
        except OSError:
            pass
        return sent, read(connection)


def test_a_slow_body_is_cut(narrow: str, predict: str) -> None:
    with connect(narrow) as connection:
        connection.sendall(request(narrow, predict, "POST", content_length="5000") + b"\x89PNG")
        began = time.monotonic()
        answer = read(connection)
        assert answer.status == 408 and "0.5 seconds" in answer.json["error"]
        assert time.monotonic() - began < 5
        assert closed(connection, 5)


@pytest.mark.parametrize("head", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "])
def test_who_says_nothing_or_half_a_head_is_cut_off(narrow: str, head: bytes) -> None:
    with connect(narrow) as connection:
        connection.sendall(head)
        assert closed(connection, 5)


def test_half_a_head_after_a_whole_request_is_cut_off(narrow: str) -> None:
    with connect(narrow) as connection:
        connection.sendall(request(narrow, "/api/v1/health"))
        assert read(connection).status == 200
        connection.sendall(b"GET / HTTP/1.1\r\nHo")
        assert closed(connection, 4)  # sooner than the five seconds of a silent connection


def test_bodies_together_have_a_bound(narrow: str, predict: str) -> None:
    """Of many large bodies at a time some are refused, with when to come back; later all are welcome."""
    connections = [connect(narrow) for _ in range(5)]
    for connection in connections:
        connection.sendall(request(narrow, predict, "POST", content_length=str(LIMIT)) + bytes(LIMIT - 1))
    answers = [read(connection) for connection in connections]
    for connection in connections:
        connection.close()
    assert {answer.status for answer in answers} == {408, 429}
    assert all("retry-after" in answer.headers for answer in answers if answer.status == 429)
    assert ask(narrow, predict, "POST", png()).status == 200


def test_a_connection_cut_in_the_middle_leaves_the_server_whole(narrow: str, predict: str) -> None:
    data = png()
    for _ in range(20):
        with connect(narrow) as connection:
            connection.sendall(request(narrow, predict, "POST", data)[: -len(data) // 2])
    assert ask(narrow, predict, "POST", data).status == 200


def test_idle_connections_and_strange_headers_leave_it_answering(narrow: str) -> None:
    idle = [connect(narrow) for _ in range(100)]
    ranges = ", ".join(f"{start}-" for start in range(5000))
    began = time.monotonic()
    assert ask(narrow, "/static/app.js", range=f"bytes={ranges}"[:60_000]).status in (200, 206, 400, 416)
    assert ask(narrow, "/", x_long="a" * 200_000).status in (0, 400)
    assert ask(narrow, "/api/v1/health").status == 200
    assert time.monotonic() - began < 5
    assert all(closed(one, 5) for one in idle)
    for one in idle:
        one.close()
