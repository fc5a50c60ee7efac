"""Training in several processes, on one machine or many.

`processes` is what the core needs to know about it, `worker` the module that `torchrun` starts
where no command line is wanted, `ray_train` the route that Ray manages, `estimate` what a training
takes of memory and time before it is tried. `fsdp.yaml` and `deepspeed.yaml` are configurations for
`accelerate launch --config_file`; `config(name)` is the path of one.
"""

from pathlib import Path

from seedbed.errors import NotFound


def config(name: str) -> Path:
    """The file of a configuration for `accelerate launch`: `fsdp` or `deepspeed`."""
    path = Path(__file__).with_name(f"{name}.yaml")
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise NotFound(f"Unknown configuration {name!r}.", hint=f"Available: {known}.")
    return path
