"""`neocog lab`: the local page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neocog.errors import UsageError

EXAMPLE = "Example: neocog lab runs/first"


def lab(
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="[RUN]...", help="Runs or comparisons to look into.")
    ] = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, metavar="N", help="0: any that is free.")
    ] = 8765,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="To listen on.")] = "127.0.0.1",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
) -> None:
    """Open the lab: a local page on which convolution moves."""
    import secrets
    import socket
    import webbrowser

    import uvicorn

    from neocog.lab.app import create_app
    from neocog.lab.guard import is_loopback
    from neocog.lab.runs import Runs

    found = Runs(runs or ())
    token = None if is_loopback(host) else secrets.token_urlsafe(24)
    try:
        listening = socket.create_server((host, port))
    except OSError as error:
        raise UsageError(f"--port {port}: cannot listen there ({error.strerror}); give another") from error
    address = f"http://{host}:{listening.getsockname()[1]}/" + (f"?token={token}" if token else "")
    print(f"the lab is at {address} (Ctrl-C ends it)", flush=True)
    if browser:
        webbrowser.open(address)
    config = uvicorn.Config(create_app(found, host=host, token=token), log_level="warning", access_log=False)
    uvicorn.Server(config).run([listening])
