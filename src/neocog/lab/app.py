"""The server of the lab: its page, and the same HTTP API that the page uses."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from neocog.errors import NeocogError
from neocog.lab import detectors, gallery, health, models, networks, operators, pages, records
from neocog.lab.guard import Guard, Limits, is_loopback, told
from neocog.lab.pages import STATIC, THEME
from neocog.lab.quick import digit_net
from neocog.lab.runs import Runs
from neocog.lab.work import Worker
from neocog.version import __version__


def create_app(
    runs: Runs | None = None,
    *,
    host: str = "127.0.0.1",
    token: str | None = None,
    limits: Limits | None = None,
) -> FastAPI:
    """The application, for any ASGI server that listens on `host`.

    Raises ValueError for an address that others can reach, unless there is a token.
    """
    if not is_loopback(host) and not token:
        raise ValueError(f"{host} can be reached from other machines, so a token is needed")
    app = FastAPI(
        title="Neocog lab",
        version=__version__,
        description="What the page does, it does through these. Programs send the header `X-Neocog: 1`.",
        docs_url=None,  # FastAPI's own page comes from somebody else's server
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        lifespan=health.tested,
    )
    app.state.runs = runs or Runs()
    app.state.networks = Worker()
    app.state.runs.add(digit_net())
    for part in (health, operators, networks, gallery, records, models, detectors, pages):
        app.include_router(part.router, prefix="/api/v1")
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(ValueError, _impossible)
    app.add_exception_handler(NeocogError, _impossible)

    @app.get("/static/theme.css", include_in_schema=False)
    def theme() -> Response:
        return Response(THEME, media_type="text/css")

    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.get("/", include_in_schema=False)
    def page() -> Response:
        return Response((STATIC / "index.html").read_bytes(), media_type="text/html; charset=utf-8")

    @app.get("/docs", include_in_schema=False)
    def docs() -> Response:
        return Response((STATIC / "docs.html").read_bytes(), media_type="text/html; charset=utf-8")

    hosts = ("127.0.0.1", "localhost", "[::1]") if is_loopback(host) else ()
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)
    app.add_middleware(Guard, hosts=hosts, token=token, limits=limits)
    return app


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return told(error)


async def _malformed(request: Request, error: Exception) -> Response:
    """What pydantic found, as one line: the first field that is wrong."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    return JSONResponse({"error": f"{where}: {first['msg']}" if where else first["msg"]}, 422)


async def _impossible(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error).partition("\n")[0]}, 422)
