"""The server around the application: a client that says nothing, or speaks too slowly, is cut off."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE = 10.0
"""Seconds that the head of a request may take; of its body see `neocog.lab.guard.Limits`."""


class Patient(H11Protocol):
    """HTTP of a connection that is closed while the head of a request does not come to its end."""

    patience = PATIENCE
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._wait()
        else:
            self._settle()

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.patience, self.transport.close)

    def _settle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def server(app: FastAPI, **options: Any) -> uvicorn.Server:
    """A server of the application, which is given the sockets to listen on."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=Patient,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=3,
            **options,
        )
    )


def listening(host: str, port: int) -> socket.socket:
    """A socket on that address. Raises OSError where there can be none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    place = socket.create_server((host, port), family=family, backlog=256)
    # An answer is its head and its body; without this, the body waits 40 ms for the head to be acknowledged.
    place.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return place
