"""Keeps the remarks and bars of torch, transformers and peft off the terminal; errors stay.

It knows only their switches: a user can do nothing about what they say, and a run says what matters
itself.
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
    """Silence them for the rest of this process; quick, whether they are imported yet or not."""
    # They read these when imported; a variable already set wins.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TQDM_DISABLE", "1")  # the bars that transformers has no switch for
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.ERROR)
        # A warning counts as said by the module that calls, which may be any of theirs.
        warnings.filterwarnings("ignore", module=rf"{name}(\.|$)")
    warnings.filterwarnings("ignore", message=".*Add type hints to the `predict` method")  # MLflow


def quiet_loading() -> None:
    """The same, and no bars while weights are read and written; imports transformers."""
    quiet()
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
