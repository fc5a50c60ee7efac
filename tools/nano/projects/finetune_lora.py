"""The answer of the model, with the adapter that `python -m PACKAGE.app` has trained.

    curl -s http://127.0.0.1:8000/answer -H 'content-type: application/json' \
      -d '{"request": "reset my vpn password, user anna"}'
"""

import os
import threading
from typing import Annotated

from fastapi import Body, FastAPI
from peft import PeftModel

from .app import OUTPUT, answer, load_model


def add_routes(app: FastAPI) -> None:
    model, tokenizer = load_model(os.environ.get("SEEDBED_MODEL", "smollm2"))
    if (OUTPUT / "adapter").exists():
        model = PeftModel.from_pretrained(model, OUTPUT / "adapter")
    one_at_a_time = threading.Lock()  # torch uses all cores for one answer

    @app.post("/answer")
    def answer_request(request: Annotated[str, Body(embed=True, max_length=1000)]) -> str:
        with one_at_a_time:
            return str(answer(model, tokenizer, [request])[0])
