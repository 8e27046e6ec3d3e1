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
    import webbrowser

    from neocog.lab.app import create_app
    from neocog.lab.guard import is_loopback
    from neocog.lab.runs import Runs
    from neocog.lab.serve import listening, server

    found = Runs(runs or ())
    token = None if is_loopback(host) else secrets.token_urlsafe(24)
    app = create_app(found, host=host, token=token)
    try:
        place = listening(host, port)
    except OSError as error:
        # Without what Python adds to the system's words: it names the address again.
        reason = (error.strerror or "refused").partition(" (while")[0]
        told = f"--host {host} --port {port}: cannot listen there ({reason}); give another"
        raise UsageError(told) from error
    named = f"[{host}]" if ":" in host else host
    address = f"http://{named}:{place.getsockname()[1]}/" + (f"?token={token}" if token else "")
    print(f"the lab is at {address} (Ctrl-C ends it)", flush=True)
    if browser:
        webbrowser.open(address)
    try:
        server(app).run([place])
    except KeyboardInterrupt:
        print("the lab is closed", flush=True)
