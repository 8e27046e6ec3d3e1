"""The page of the HTTP API: every endpoint is there, and the examples of those without a model run."""

from __future__ import annotations

import json
import shlex
import urllib.request
from typing import Any

RUN = ("filter", "integral", "summary", "maps", "networks", "runs", "health")


def test_it_lists_every_endpoint_and_is_accessible(visit: Any, lab: str) -> None:
    with urllib.request.urlopen(f"{lab}/api/v1/openapi.json") as response:
        described = json.load(response)
    visit.page.goto(f"{lab}/docs")
    visit.page.locator(".operation").first.wait_for()
    listed = visit.page.locator(".operation h3").all_text_contents()
    for path, methods in described["paths"].items():
        assert {f"{method.upper()} {path}" for method in methods} <= set(listed)
    assert visit.violations() == []


def test_its_examples_are_answered(visit: Any, lab: str) -> None:
    visit.page.goto(f"{lab}/docs")
    visit.page.locator(".operation").first.wait_for()
    answered = set()
    for text in visit.page.locator(".operation pre").all_text_contents():
        program, *words, address = shlex.split(text)
        assert program == "curl" and address.startswith(lab)
        name = address.partition("/api/v1/")[2]
        if name not in RUN:
            continue
        headers, body = {}, None
        for flag, value in zip(words[::2], words[1::2], strict=True):
            if flag == "-H":
                key, _, headers_value = value.partition(": ")
                headers[key] = headers_value
            else:
                body = value.encode()
        with urllib.request.urlopen(urllib.request.Request(address, body, headers)) as response:
            assert response.status == 200
        answered.add(name)
    assert answered == set(RUN)
