"""Run the server as a process: `python -m seedbed.testing.vendor --replies FILE --port 8010`."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Sequence

from seedbed.testing.vendor.script import read_replies
from seedbed.testing.vendor.server import MODELS, launch_vendor


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve a table of replies until SIGINT or SIGTERM; `GET /calls` lists the requests."""
    parser = argparse.ArgumentParser(
        prog="python -m seedbed.testing.vendor", description=main.__doc__
    )
    parser.add_argument("--replies", required=True, help="JSON-lines file, one reply per line.")
    parser.add_argument("--port", type=int, default=0, help="TCP port; 0 takes a free one.")
    parser.add_argument("--key", default="test-key", help="The API key that is accepted.")
    parser.add_argument("--models", nargs="*", default=MODELS, help="The models that exist.")
    options = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    table = read_replies(options.replies)
    with launch_vendor(table, key=options.key, models=options.models, port=options.port) as vendor:
        print(f"Serving {vendor.url}", flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
