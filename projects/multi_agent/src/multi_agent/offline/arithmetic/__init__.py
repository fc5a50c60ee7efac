"""Arithmetic in words, read without a language model.

to_expression("What is 15 % of 240?").text      # "15 / 100 * 240"
"""

from multi_agent.offline.arithmetic.calculate import looks_like_arithmetic, to_expression

__all__ = ["looks_like_arithmetic", "to_expression"]
