"""An adapter whose weights are cut into pieces that lie in different processes (FSDP2, ZeRO-3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def whole_adapter(model: Any) -> dict[str, Any]:
    """The learned weights, whole and in the machine's memory, by name.

    All processes must ask for them together. The base's frozen weights stay where they are: whole,
    a large one would not fit.
    """
    from peft.utils.integrations import gather_params_ctx
    from torch.distributed.tensor import DTensor

    learned = {name: w for name, w in model.named_parameters() if w.requires_grad}
    with gather_params_ctx(list(learned.values())):  # of ZeRO-3; else it does nothing
        return {
            name: (w.full_tensor() if isinstance(w, DTensor) else w).detach().cpu().clone()
            for name, w in learned.items()
        }


def take_checkpoint(trainer: Any, checkpoint: Path) -> None:
    """Load the adapter of a checkpoint into the pieces, in all processes together."""
    if trainer.is_deepspeed_enabled:
        from transformers.integrations.deepspeed import deepspeed_load_checkpoint

        # The base's weights are not in it.
        deepspeed_load_checkpoint(trainer.deepspeed, str(checkpoint), load_module_strict=False)
    else:
        trainer._load_from_checkpoint(str(checkpoint), trainer.model_wrapped)
