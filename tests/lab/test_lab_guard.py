"""The page is for this machine only: over raw sockets, as other sites and scanners would ask."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import product
from urllib.parse import urlsplit

import pytest
from tests.lab.labs import served
from tests.lab.raw import Answer, ask, connect, read, request, talk

from neocog.lab.app import create_app
from neocog.lab.guard import COOKIE, is_loopback

INTEGRAL = "/api/v1/integral"
SHAPES = b'{"f": {"kind": "box"}, "g": {"kind": "box"}, "t": [0.5]}'


def refused(answer: Answer, status: int) -> bool:
    """One line of JSON says why, and no other site may read even that."""
    assert answer.status == status, answer
    assert set(answer.json) == {"error"} and "\n" not in answer.json["error"]
    assert not any(name.startswith("access-control") for name in answer.headers)
    return True


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "evil@127.0.0.1",
     "127.0.0.1:80:evil", "0.0.0.0", "[::2]", "192.168.1.2", "localhost.", "", None],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_foreign_or_rebound_name_is_refused(lab: str, host: str | None, method: str) -> None:
    if host is None:  # HTTP/1.1 demands a host, HTTP/1.0 does not
        answer = talk(lab, f"{method} / HTTP/1.0\r\n\r\n".encode())
    else:
        answer = ask(lab, INTEGRAL if method == "POST" else "/", method, host=host)
    assert refused(answer, 421)


def test_two_hosts_or_lengths_are_refused(lab: str) -> None:
    place = urlsplit(lab).netloc.encode()
    for lines in (b"Host: %s\r\nHost: evil.example" % place, b"Host: %s\r\nOrigin: a\r\nOrigin: b" % place):
        assert talk(lab, b"GET / HTTP/1.1\r\n" + lines + b"\r\n\r\n").status == 400
    lengths = b"Host: %s\r\nX-Neocog: 1\r\nContent-Length: 1\r\nContent-Length: 2" % place
    assert talk(lab, b"POST /api/v1/integral HTTP/1.1\r\n" + lengths + b"\r\n\r\n").status == 400


def test_its_own_names_are_answered(lab: str) -> None:
    port = urlsplit(lab).port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}"):
        assert ask(lab, host=host).status == 200


@pytest.mark.parametrize(
    "origin",
    ["null", "", "http://evil.example", "https://127.0.0.1.evil.example", "http://127.0.0.1:1", "http://127.0.0.1",
     "http://[bad", "file://", "http://evil.example@127.0.0.1", "chrome-extension://abc", "http://127.0.0.1:80\x80"],
)  # fmt: skip
def test_a_foreign_origin_is_refused(lab: str, origin: str) -> None:
    for method, target in (("GET", "/api/v1/runs"), ("POST", INTEGRAL), ("OPTIONS", INTEGRAL)):
        assert refused(ask(lab, target, method, SHAPES, origin=origin), 403)


def test_a_form_of_another_site_is_refused(lab: str) -> None:
    old = ask(lab, INTEGRAL, "POST", SHAPES, x_neocog=None, content_type="text/plain")
    assert refused(old, 403)  # an old browser tells no origin
    for site in ("cross-site", "same-site"):
        own = f"http://{urlsplit(lab).netloc}"
        assert refused(ask(lab, INTEGRAL, "POST", SHAPES, sec_fetch_site=site, origin=own), 403)
        image = ask(lab, "/static/style.css", sec_fetch_site=site, sec_fetch_mode="no-cors")
        assert refused(image, 403)
        link = ask(lab, sec_fetch_site=site, sec_fetch_mode="navigate")
        form = ask(lab, INTEGRAL, "POST", SHAPES, sec_fetch_site=site, sec_fetch_mode="navigate")
        assert link.status == 200 and refused(form, 403)  # a link may open the page, a form computes nothing


def test_the_page_and_a_program_are_answered(lab: str) -> None:
    own = f"http://{urlsplit(lab).netloc}"
    page = {
        "origin": own,
        "sec_fetch_site": "same-origin",
        "x_neocog": None,
        "content_type": "application/json",
    }
    for headers in (page, {"content_type": "application/json"}):
        assert ask(lab, INTEGRAL, "POST", SHAPES, **headers).json["values"] == pytest.approx([0.5])


@pytest.mark.parametrize(
    "target", ["/", "/static/app.js", "/api/v1/health", "/nowhere", "/api/v1/runs/x/curves"]
)
def test_every_answer_carries_its_policy(lab: str, target: str) -> None:
    headers = ask(lab, target).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'" and policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["form-action"] == policy["base-uri"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers


UP = r"""
../ ..%2f %2e%2e/ %2e%2e%2f ..%252f %252e%252e%252f ..\ ..%5c %2e%2e%5c ....// ..;/ ..%c0%af ..%ef%bc%8f ./../
.%00./ %u002e%u002e/
"""
TARGETS = "etc/passwd proc/self/environ app.py guard.py%00.js"
ABSOLUTE = r"""
/etc/passwd %2fetc%2fpasswd C:%5cwindows%5cwin.ini C:/windows/win.ini %5c%5cserver%5cshare file:///etc/passwd
http://evil.example/ //evil.example/ CON NUL.txt %00 %0d%0aX:1 ~root/.ssh/id_rsa .. . %ff%fe
index.html/../../app.py
"""
PREFIXES = ["/static/", "/static/pages/", "/api/v1/runs/", "/api/v1/pictures/", "/"]
LEADING_OUT = [up * depth + target for up, depth, target in product(UP.split(), (1, 4), TARGETS.split())]
PAYLOADS = [prefix + path for prefix in PREFIXES for path in (*LEADING_OUT, *ABSOLUTE.split(), "a" * 5000)]


def test_no_path_leads_out(lab: str) -> None:
    assert len(PAYLOADS) >= 300
    connection = connect(lab)
    for payload in PAYLOADS:
        for target in (payload, f"{payload}/curves") if "/runs/" in payload else (payload,):
            connection.sendall(request(lab, target))
            answer = read(connection)
            assert 400 <= answer.status < 500, (target[:100], answer)
            assert set(answer.json) == {"error"}, target
            assert not any(leak in answer.body for leak in (b"root:", b"import ", b"/work", b"site-packages"))
            if answer.headers.get("connection") == "close":
                connection.close()
                connection = connect(lab)
    connection.close()


TOKEN = "a-token-for-tests"


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """A lab as on an address that others reach."""
    with served(create_app(host="0.0.0.0", token=TOKEN)) as address:
        yield address


def test_other_addresses_demand_a_token(guarded: str) -> None:
    for cookie in (None, f"{COOKIE}=x", "\xff=;;\x01"):
        assert refused(ask(guarded, "/api/v1/health", cookie=cookie), 401)
    assert refused(ask(guarded, "/api/v1/health", authorization="Bearer x"), 401)
    assert refused(ask(guarded, "/?token=x"), 401)
    assert refused(ask(guarded, f"/?token={TOKEN[:-1]}"), 401)
    assert ask(guarded, "/api/v1/health", authorization=f"Bearer {TOKEN}").status == 200
    assert ask(guarded, "/api/v1/health", cookie=f"{COOKIE}={TOKEN}").status == 200
    first = ask(guarded, f"/?token={TOKEN}", host="a-name-of-this-machine")
    assert first.status == 200
    kept, *attributes = first.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Strict"} <= set(attributes)
    assert ask(guarded, "/static/app.js", cookie=kept).status == 200


def test_no_other_address_without_a_token() -> None:
    with pytest.raises(ValueError, match="token"):
        create_app(host="0.0.0.0")
    assert [is_loopback(one) for one in ("127.0.0.1", "::1", "localhost", "127.9.9.9")] == [True] * 4
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.0.1", "example.org", "", "127.0.0.1.nip.io")))


def test_a_fault_of_ours_is_one_line_and_a_line_in_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    app = create_app()

    @app.get("/api/v1/broken")
    def broken() -> None:
        raise RuntimeError("of /secret/path")

    with served(app) as lab:
        answer = ask(lab, "/api/v1/broken")
        assert refused(answer, 500) and b"secret" not in answer.body
        assert "content-security-policy" in answer.headers
    assert "GET /api/v1/broken failed" in capfd.readouterr().err


def test_it_says_when_it_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()

    def fails() -> None:
        go.wait(20)
        raise ValueError("2 + 2 is 5")

    monkeypatch.setattr("neocog.lab.health.self_test", fails)
    with served(create_app()) as lab:
        waiting = ask(lab, "/api/v1/ready")
        assert refused(waiting, 503) and waiting.headers["retry-after"] == "1"
        assert ask(lab, "/api/v1/health").json["status"] == "ok"
        go.set()
        while "running" in (failed := ask(lab, "/api/v1/ready")).json["error"]:
            pass
        assert refused(failed, 503) and "2 + 2 is 5" in failed.json["error"]


def test_it_becomes_ready(lab: str) -> None:
    while (answer := ask(lab, "/api/v1/ready")).status == 503:
        assert "running" in answer.json["error"]
    assert answer.json["status"] == "ready"
