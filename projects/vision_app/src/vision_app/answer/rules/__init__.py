"""Answers by rules, to English questions: delete this folder where a model answers them."""
