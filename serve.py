"""ClassMood as a service: `streamlit run serve.py` is app.py with /healthz, /metrics, and an orderly end."""

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fer import health, logs, server
from fer.oidc import BackToTheJournal


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    logs.configure(server.settings().log_format)
    yield
    await run_in_threadpool(server.close)


def healthz(request: Request) -> Response:
    """200 where a student could join now, else 503; it says which part is missing, and why is in the log."""
    now = server.health_now()
    parts = {"ready": now.ready, "model": now.model, "database": now.database}
    return JSONResponse(parts, 200 if now.ready else 503, {"Cache-Control": "no-store"})


def metrics(request: Request) -> Response:
    """For who has FER_METRICS_TOKEN; for everybody else there is no such page."""
    token, given = server.settings().metrics_token, request.headers.get("authorization", "")
    if not token or not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        return Response(status_code=404)
    return Response(health.exposition(server.health_now()), media_type="text/plain; version=0.0.4; charset=utf-8")


app = st.App(
    "app.py",
    lifespan=lifespan,
    routes=[Route("/healthz", healthz), Route("/metrics", metrics)],
    middleware=[Middleware(BackToTheJournal)],
)
