"""An adapter as a model of MLflow, which copies this file beside the adapter and runs it to load.

It stands alone, and is the one module where something happens at import: MLflow's "models from
code" ask for that, and unlike a pickle it can be read. `pip install finetune-lora` is needed where
it is loaded; the base model is found as everywhere, offline too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext


class AdapterModel(PythonModel):
    """Takes rows with `messages`, conversations that end with the user; gives the answers."""

    # The signature describes the rows; without this MLflow prints advice about type hints.
    _skip_type_hint_validation = True

    def load_context(self, context: PythonModelContext) -> None:
        from finetune_lora.answer.predictor import TorchPredictor
        from finetune_lora.model.adapter import load_adapter, read_task

        folder = Path(context.artifacts["adapter"])
        self.predictor = TorchPredictor.for_task(load_adapter(folder), "adapter", read_task(folder))

    def predict(  # type: ignore[no-untyped-def]  # MLflow would take a hint for a schema
        self,
        context: PythonModelContext,  # noqa: ARG002 -- MLflow calls it so
        model_input,
        params: dict[str, Any] | None = None,
    ) -> list[str]:
        from finetune_lora.example import Example

        rows = model_input["messages"]
        unknown = {"role": "assistant", "content": ""}  # what an example learns; not looked at
        examples = [Example((*(dict(m) for m in messages), unknown)) for messages in rows]
        options = {k: v for k, v in (params or {}).items() if k == "max_new_tokens"}
        return [answer.text for answer in self.predictor.answer(examples, **options)]


set_model(AdapterModel())
