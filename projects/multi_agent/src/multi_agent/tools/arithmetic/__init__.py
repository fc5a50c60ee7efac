"""Exact arithmetic in words, without a language model.

calculate("What is 15 % of 240?").text      # "36"
"""

from multi_agent.tools.arithmetic.calculate import (
    Calculation,
    calculate,
    evaluate_expression,
    looks_like_arithmetic,
)

__all__ = ["Calculation", "calculate", "evaluate_expression", "looks_like_arithmetic"]
