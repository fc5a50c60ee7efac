"""Keeps log messages, warnings and bars of torch, transformers and the like off the terminal.

quiet()            # quick, for commands
quiet_loading()    # before models are read or written
"""

from __future__ import annotations

import logging
import os
import warnings

_LIBRARIES = (
    *("torch", "transformers", "peft", "accelerate", "huggingface_hub", "datasets"),
    *("mlflow", "matplotlib"),
)


def quiet() -> None:
    """Set these libraries to log errors only, whether or not they are imported yet."""
    # They read these when imported; a variable that is already set wins.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TQDM_DISABLE", "1")  # the bars that transformers has no switch for
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.ERROR)
        # A warning is attributed to the module that calls, which may be any of theirs.
        warnings.filterwarnings("ignore", module=rf"{name}(\.|$)")
    warnings.filterwarnings("ignore", message=".*Add type hints to the `predict` method")  # MLflow


def quiet_loading() -> None:
    """Like `quiet`, and without bars while weights are read and written; imports transformers."""
    quiet()
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
