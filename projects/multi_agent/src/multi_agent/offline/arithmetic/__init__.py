"""Arithmetic in words, as an expression for `tools/exact.py`, read without a language model.

    to_expression("What is 15 % of 240?").text      # "15 / 100 * 240"

`tokens.py` finds numbers, units and dates; `rules.py` has the phrases, each with the term that it
stands for; `read.py` replaces phrases until one term is left. `terms.py` computes with units.
"""

from multi_agent.offline.arithmetic.read import looks_like_arithmetic, to_expression

__all__ = ["looks_like_arithmetic", "to_expression"]
