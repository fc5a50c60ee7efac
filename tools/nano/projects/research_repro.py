"""Measures the claim, and serves its record and its figure.

curl -s -X POST http://127.0.0.1:8000/run          # half a minute
curl -s http://127.0.0.1:8000/result.json          # the record; missed.png is the figure
"""

import threading

import matplotlib
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from .app import DATA, main


def add_routes(app: FastAPI) -> None:
    matplotlib.use("agg")
    DATA.mkdir(parents=True, exist_ok=True)
    one_at_a_time = threading.Lock()

    @app.post("/run")
    def run() -> dict[str, bool]:
        with one_at_a_time:
            return {"holds": main() == 0}

    app.mount("/", StaticFiles(directory=DATA))
