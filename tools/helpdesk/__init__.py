"""Generates the training data of the help-desk task from hand-written requests and phrases.

`requests/` has 4,752 hand-written requests, `phrases/` the parts from which further ones are
composed. `generate` writes both, with other names, numbers and typing, as the data sets that
finetune_lora ships. `dev.jsonl` has 110 hand-written requests for tuning the generator.
"""
