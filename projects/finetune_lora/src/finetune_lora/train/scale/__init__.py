"""Training in several processes, on one machine or many.

`processes` returns which of them this one is, `sharded` saves an adapter whose weights are spread
over them. `fsdp.yaml` and `deepspeed.yaml` are for `accelerate launch --config_file`.
"""
