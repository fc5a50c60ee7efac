"""Plausible mistakes in the method turn a claim red."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from research_repro.papers.attention import PAPER

MISTAKES = {
    "scores_not_scaled": (" / math.sqrt(k.shape[-1])", "", "torch"),
    "scores_scaled_by_d_k": ("/ math.sqrt(k.shape[-1])", "/ k.shape[-1]", "torch"),
    "softmax_over_queries": ("scores.softmax(-1)", "scores.softmax(-2)", "torch"),
    "mask_inverted": ("masked_fill(~mask,", "masked_fill(mask,", "torch"),
    "mask_ignored": ("if mask is not None:", "if False:", "future"),
    "mask_off_by_one": ("torch.bool).tril()", "torch.bool).tril(1)", "future"),
    "padding_attended": ("(tokens != PAD)[", "(tokens != BOS)[", "torch"),
    "heads_not_split": (
        "heads.transpose(1, 2).flatten(2)",
        "heads.flatten(1).view(*queries.shape[:2], -1)",
        "torch",
    ),
    "no_residual": ("x + self.dropout(self.function", "self.dropout(self.function", "torch"),
    "norm_before_sublayer": (
        "self.norm(x + self.dropout(self.function(x, *others)))",
        "x + self.dropout(self.function(self.norm(x), *others))",
        "torch",
    ),
    "other_activation": ("nn.ReLU()", "nn.GELU()", "torch"),
    "decoder_attends_to_itself": ("(self.attention(x, x, mask)", "(self.attention(x, x)", "torch"),
    "embedding_not_scaled": (" * math.sqrt(self.embedding.embedding_dim)", "", "torch"),
    "positions_off_by_one": ("[: tokens.shape[1]]", "[1 : tokens.shape[1] + 1]", "torch"),
    "sinusoids_of_other_base": ("rates = 10000.0", "rates = 1000.0", "offset"),
    "sine_and_cosine_swapped": (
        "[angles.sin(), angles.cos()]",
        "[angles.cos(), angles.sin()]",
        "offset",
    ),
    "smoothing_not_averaged": ("smoothing * log_p.mean(-1)", "smoothing * log_p.sum(-1)", "torch"),
    "loss_counts_padding": ("losses[targets != PAD].mean()", "losses.mean()", "torch"),
    "rate_never_falls": ("min(step**-0.5, step * ", "min(1, step * ", "torch"),
    "rate_without_width": ("d_model**-0.5 * min", "min", "torch"),
    "translation_starts_at_the_end": ("(len(source), 1), BOS)", "(len(source), 1), EOS)", "torch"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_turns_its_claim_red(red_claims: Any, mistake: str) -> None:
    def measure(module: Any) -> dict[str, Any]:
        torch.manual_seed(0)
        return {"exact": module("cells").check()}

    old, new, claim = MISTAKES[mistake]
    assert claim in red_claims(PAPER, old, new, measure)
