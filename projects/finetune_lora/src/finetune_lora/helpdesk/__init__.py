"""The example task: a help-desk request becomes one tool call.

`tools.py` defines the tools and the rules for labelling requests. `train.jsonl` and `dev.jsonl`
contain generated requests, `handwritten.jsonl` those of the evaluation.
"""
