"""Small ASGI servers to compare with, each a process of its own: `python -m tests.bench.peers NAME PORT`."""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


async def health(request: Request) -> JSONResponse:
    """Answer like a health route that checks nothing."""
    return JSONResponse({"status": "healthy", "service": "peer", "version": "1", "uptime": 1})


class PassOn(BaseHTTPMiddleware):
    """Does nothing, in the way most applications add middleware."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Pass the request on."""
        return await call_next(request)


def bare() -> Starlette:
    """One route and nothing around it: what the HTTP stack gives at most."""
    return Starlette(routes=[Route("/health", health)])


def layered() -> Starlette:
    """As many layers of the customary middleware as FlexCore has duties: access, limits and correlation, metrics."""
    app = bare()
    for _ in range(3):
        app.add_middleware(PassOn)
    return app


APPS = {"starlette_bare": bare, "starlette_middleware": layered}

if __name__ == "__main__":
    uvicorn.run(APPS[sys.argv[1]](), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", access_log=False)
