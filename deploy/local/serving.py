"""A small HTTP server of the local stack, run as a program of its own."""

import argparse

import uvicorn
from starlette.applications import Starlette


def serve(application: Starlette, description: str | None) -> None:
    """Serves until SIGTERM, on the ``--host`` and ``--port`` of the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    uvicorn.run(
        application,
        host=options.host,
        port=options.port,
        access_log=False,
        log_level="warning",
    )
