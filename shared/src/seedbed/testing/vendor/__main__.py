"""Run the server as a process: `python -m seedbed.testing.vendor --replies FILE --port 8010`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import uvicorn

from seedbed.testing.vendor.script import read_replies
from seedbed.testing.vendor.server import MODELS, Vendor


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve a table of replies until SIGINT or SIGTERM; `GET /calls` lists the requests."""
    command = "python -m seedbed.testing.vendor"
    parser = argparse.ArgumentParser(prog=command, description=main.__doc__)
    parser.add_argument("--replies", required=True, help="JSON-lines file, one reply per line.")
    parser.add_argument("--port", type=int, required=True, help="TCP port on 127.0.0.1.")
    parser.add_argument("--key", default="test-key", help="The API key that is accepted.")
    parser.add_argument("--models", nargs="+", default=MODELS, help="The models that exist.")
    options = parser.parse_args(arguments)
    vendor = Vendor(read_replies(options.replies), options.key, options.models)
    uvicorn.run(vendor, port=options.port, timeout_graceful_shutdown=1, log_level="warning")


if __name__ == "__main__":
    main()
