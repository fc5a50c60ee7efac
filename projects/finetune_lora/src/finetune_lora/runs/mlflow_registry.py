"""A trained adapter as a version of a registered model in MLflow, loadable as any of its models.

    model = mlflow.pyfunc.load_model("models:/finetune_lora/1")
    model.predict([{"messages": [{"role": "user", "content": "…"}]}])

The model contains the adapter and its tokenizer, not the base, which is found by its spec.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Mapping
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

_REQUIREMENTS = ("torch", "transformers", "peft", "mlflow")
_RECORDS = {"run.json", "progress.jsonl", "README.md"}  # in a run's folder; no part of the adapter


def register(client: MlflowClient, name: str, folder: Path, run: Mapping[str, Any]) -> str:
    """Log the adapter in `folder` as a model of the run, and register it; the version.

    `run` is what `read_run` reads, with the ids of its MLflow run.
    """
    import mlflow.pyfunc

    ids = run["mlflow"]
    about = {"base": str(run.get("base")), "folder": str(folder.absolute())}
    model = client.create_logged_model(
        ids["experiment_id"], name="adapter", source_run_id=ids["run_id"], tags=about
    )
    code = util.find_spec("finetune_lora.runs.mlflow_model")
    assert code and code.origin
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "model"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it recommends an example beside the signature
            mlflow.pyfunc.save_model(
                str(whole),
                python_model=code.origin,
                artifacts={"adapter": str(_adapter(folder, Path(scratch) / "adapter"))},
                signature=signature(),
                # Said here, as MLflow otherwise loads the model in another process to find out.
                pip_requirements=[f"{p}=={metadata.version(p)}" for p in _REQUIREMENTS],
            )
        client.log_model_artifacts(model.model_id, str(whole))
    client.finalize_logged_model(model.model_id, "READY")
    _ensure(client, name)
    # Without a server MLflow would look `models:/` up in its default store, not in the client's.
    remote = client.tracking_uri.startswith("http")
    source = f"models:/{model.model_id}" if remote else model.artifact_location
    version = client.create_model_version(
        name, source, ids["run_id"], about, model_id=model.model_id
    )
    return str(version.version)


def signature() -> ModelSignature:
    """Rows of `messages` (role and content) in, answers out; `max_new_tokens` bounds them."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, Object, Property

    text = DataType.string
    message = Object([Property("role", text), Property("content", text)])
    return ModelSignature(
        inputs=Schema([ColSpec(Array(message), "messages")]),
        outputs=Schema([ColSpec(text)]),
        params=ParamSchema([ParamSpec("max_new_tokens", DataType.long, 128)]),
    )


def _adapter(folder: Path, to: Path) -> Path:
    to.mkdir()
    for file in folder.iterdir():
        if file.is_file() and file.name not in _RECORDS and not file.name.startswith("."):
            shutil.copy(file, to)
    return to


def _ensure(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
