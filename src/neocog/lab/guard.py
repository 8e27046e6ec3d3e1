"""What stands before every request: only this machine's own page is answered, and no body without bounds.

A page on the loopback address is within reach of every site that is open in the same browser. So the name
in `Host` must be one of ours (a foreign name may have been rebound to this address), and what computes
something must come from our own origin, or from a program, which sends no origin and has to name itself.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
SAFE = ("GET", "HEAD")
COOKIE = "neocog-lab"
BODY = 20 * 2**20


@dataclass(frozen=True)
class Limits:
    """Of what a client may ask."""

    body: int = BODY
    """Bytes of a request's body."""
    seconds: float = 30.0
    """That a body may take to arrive."""
    held: int = 8 * BODY
    """Bytes of all bodies that are in memory at a time."""


class Refusal(HTTPException):
    """A request is not answered, and why, in a line."""

    def __init__(self, status: int, reason: str, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        super().__init__(status, reason, named)


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware. `hosts`: names, without port, that a request may be addressed to; if none, any."""

    def __init__(
        self,
        app: ASGIApp,
        hosts: Iterable[str] = ("127.0.0.1", "localhost", "[::1]"),
        token: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.app, self.token = app, token
        self.hosts = frozenset(hosts)
        self.limits, self.held = limits or Limits(), _Held()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no web sockets
            return
        answer, body = _Answer(send), None
        try:
            headers = _headers(scope)
            self._check_host(headers)
            self._check_origin(scope, headers)
            answer.cookie = self._check_token(scope, headers)
            answer.body = body = _Body(receive, headers, self.limits, self.held)
            await self.app(scope, body.receive, answer.send)
        except Refusal as refusal:
            await told(refusal)(scope, receive, answer.send)
        except Exception:
            logging.getLogger("uvicorn.error").exception("%s %s failed", scope["method"], scope["path"])
            if answer.begun:
                raise
            failed = Refusal(500, "the server failed at this: its terminal says why")
            await told(failed)(scope, receive, answer.send)
        finally:
            if body is not None:
                self.held.bytes -= body.read

    def _check_host(self, headers: dict[str, str]) -> None:
        host = headers.get("host", "")
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        if self.hosts and name.lower() not in self.hosts:
            raise Refusal(421, "this server answers only to its own name")

    def _check_origin(self, scope: Scope, headers: dict[str, str]) -> None:
        """Same origin, or a program; a link from elsewhere may open the page, and nothing more."""
        origin = headers.get("origin")
        host = headers.get("host", "").lower()
        if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
            raise Refusal(403, "requests from other sites are refused")
        site = headers.get("sec-fetch-site")
        opens = scope["method"] in SAFE and headers.get("sec-fetch-mode") == "navigate"
        if site not in (None, "same-origin", "none") and not opens:
            raise Refusal(403, "requests from other sites are refused")
        if scope["method"] not in SAFE and origin is None and "x-neocog" not in headers:
            raise Refusal(403, "a program must send the header 'X-Neocog: 1'")

    def _check_token(self, scope: Scope, headers: dict[str, str]) -> bytes | None:
        """The cookie to set, where the token came with the address; Refusal without a right token."""
        if self.token is None:
            return None
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            cookies = SimpleCookie()
        kept = cookies[COOKIE].value if COOKIE in cookies else ""
        given = headers.get("authorization", "").removeprefix("Bearer ")
        if not any(hmac.compare_digest(one.encode(), self.token.encode()) for one in (asked, kept, given)):
            raise Refusal(
                401,
                "the token is missing or wrong: use the address that was printed",
                www_authenticate="Bearer",
            )
        return f"{COOKIE}={self.token}; HttpOnly; SameSite=Strict; Path=/".encode() if asked else None


@dataclass
class _Held:
    """Bytes of the bodies that are in memory."""

    bytes: int = 0


class _Body:
    """A request's body, refused before it is read if it says that it is too large, else when it is."""

    def __init__(self, receive: Receive, headers: dict[str, str], limits: Limits, held: _Held) -> None:
        self._receive, self._limits, self._held = receive, limits, held
        self._until = time.monotonic() + limits.seconds
        declared = headers.get("content-length", "0")
        if not declared.isascii() or not declared.isdigit():
            raise Refusal(400, "Content-Length is not a number")
        if int(declared) > limits.body:
            raise self._too_large()
        self.read = 0
        self.whole = int(declared) == 0 and "transfer-encoding" not in headers

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the body is larger than {self._limits.body:,} bytes")

    async def receive(self) -> Message:
        if self.whole:  # what follows is the end of the connection, which may take its time
            return await self._receive()
        left = self._until - time.monotonic()
        try:
            message = await asyncio.wait_for(self._receive(), max(left, 0))
        except TimeoutError:
            late = f"the body took more than {self._limits.seconds:g} seconds to arrive"
            raise Refusal(408, late) from None
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self.read += size
            self._held.bytes += size
            if self.read > self._limits.body:
                raise self._too_large()
            if self._held.bytes > self._limits.held:
                raise Refusal(429, "too much is being sent; try again in a second", retry_after="1")
            self.whole = not message.get("more_body", False)
        return message


def _headers(scope: Scope) -> dict[str, str]:
    """By name. Several of one name, where only one can be meant, are refused."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        if key in found and key in ("host", "origin", "content-length"):
            raise Refusal(400, f"more than one header '{key}'")
        found[key] = value.decode("latin-1")
    return found


class _Answer:
    """What is sent, with the headers of every answer; the last on its connection if the body is not read."""

    def __init__(self, send: Send) -> None:
        self._send, self.begun = send, False
        self.cookie: bytes | None = None
        self.body: _Body | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            own = {name.lower() for name, _ in message["headers"]}
            more = [one for one in HEADERS if one[0] not in own]
            if self.cookie:
                more.append((b"set-cookie", self.cookie))
            if self.body is None or not self.body.whole:
                more.append((b"connection", b"close"))
            message = {**message, "headers": [*message["headers"], *more]}
        await self._send(message)


def told(refusal: HTTPException) -> JSONResponse:
    """A refusal as every client gets it."""
    return JSONResponse({"error": refusal.detail}, refusal.status_code, refusal.headers)
