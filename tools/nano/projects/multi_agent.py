"""A task for the team, answered from its database and documents.

    curl -s http://127.0.0.1:8000/run -H 'content-type: application/json' \
      -d '{"task": "Within how many days can I return goods after delivery?"}'
"""

import os
from typing import Annotated

from fastapi import Body, FastAPI

from .app import build_graph, quote_documents


def add_routes(app: FastAPI) -> None:
    has_bigger_model = os.environ.get("SEEDBED_MODEL", "smollm2") != "smollm2"
    graph = build_graph() if has_bigger_model else None

    @app.post("/run")
    def run(task: Annotated[str, Body(embed=True, min_length=1, max_length=4000)]) -> str:
        return str(graph.invoke({"task": task})["answer"]) if graph else quote_documents(task)
