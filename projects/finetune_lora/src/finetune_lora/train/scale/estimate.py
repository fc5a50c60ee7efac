"""What training an adapter takes of memory and time, on paper: nothing is loaded or measured.

Bytes on each GPU, for N weights, of which an adapter of A are learned, L layers of width h, with an
MLP of width f and keys of width k, V entries in the vocabulary, and T tokens in a pass:

    weights      2 N (bf16); 4 bits: 0.516 for each weight of a layer (NF4 with double
                 quantisation), 4 for the rest, which PEFT keeps in float32
    adapter      4 A, gradients 4 A, optimizer 8 A (AdamW's two moments), all float32
    activations  T L (2 (4 h + 2 k + 4 f) + 8 h): what the backward pass of a layer reads, in bf16,
                 and the input of its two norms in float32; with checkpointing 2 T L h, and the
                 first for one layer
    logits       16 T V times the share of tokens that are learned
    rest         1.5 GB (CUDA, NCCL) and a twentieth of all (fragments)

FSDP cuts weights, adapter, gradients and optimizer into as many pieces as there are GPUs; two
layers and the vocabulary's matrices stand whole beside them.

Time: 4 N floating-point operations a token (forward 2 N, backward 2 N, since frozen weights have
no gradient), 2 N more with checkpointing, 6 A for the adapter; attention, a few percent at such
lengths, is left out. With FSDP each pass moves 4 N bytes to each GPU, at best at the same time.
What a shared prompt saves is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from finetune_lora.train.train import TrainArgs
from seedbed.errors import ConfigError

_FOUR_BITS = 4.127 / 8  # bytes; the constants of 64 weights take 0.127 bits each (QLoRA, section 3)
_FIXED = 1.5e9
_FRAGMENTS = 0.05
_LEARNED = 0.2  # of the tokens of a conversation are the assistant's
# Shares of the GPU's peak that are commonly reached, assumed and not measured.
_REACHED = {"lora": 0.35, "dora": 0.25, "rslora": 0.35, "qlora": 0.25}


@dataclass(frozen=True)
class Shape:
    """A Llama-like model; `keys` is the width of its keys, `tied` one matrix for in and out."""

    name: str
    hidden: int
    layers: int
    mlp: int
    keys: int
    vocabulary: int
    tied: bool

    @property
    def layer(self) -> int:
        """Weights of one layer."""
        attention = 2 * self.hidden * (self.hidden + self.keys)
        return attention + 3 * self.hidden * self.mlp + 2 * self.hidden

    @property
    def outside(self) -> int:
        """Weights of the vocabulary and the last norm."""
        return (1 if self.tied else 2) * self.vocabulary * self.hidden + self.hidden

    @property
    def params(self) -> int:
        return self.layers * self.layer + self.outside

    def adapter(self, r: int, method: str = "lora") -> int:
        """Weights of an adapter of rank `r` for all linear layers."""
        learned = r * (9 * self.hidden + 2 * self.keys + 3 * self.mlp)
        if method == "dora":  # and a length for each output
            learned += 3 * self.hidden + 2 * self.keys + 2 * self.mlp
        return self.layers * learned


@dataclass(frozen=True)
class Gpu:
    """`tflops` are dense bf16 at peak; `link` is what reaches it from the others, in GB/s."""

    name: str
    memory: float
    tflops: float
    link: float


# Of the models' config.json: Llama 3.2 1B, Llama 2 7B, Llama 3.1 70B.
SHAPES = (
    Shape("1B", 2048, 16, 8192, 512, 128256, tied=True),
    Shape("7B", 4096, 32, 11008, 4096, 32000, tied=False),
    Shape("70B", 8192, 80, 28672, 1024, 128256, tied=False),
)
# Of the makers' data sheets; of a link two thirds of what it carries in one direction.
GPUS = (
    Gpu("A10G 24 GB", 24, 70, 20),
    Gpu("A100 80 GB", 80, 312, 200),
    Gpu("H100 80 GB", 80, 989, 300),
)


@dataclass(frozen=True)
class Estimate:
    """GB on each GPU, and tokens a second on all of them together."""

    weights: float
    adapter: float
    gradients: float
    optimizer: float
    activations: float
    rest: float
    tokens_per_second: float
    checkpointing: bool
    fits: bool

    @property
    def total(self) -> float:
        return (
            self.weights
            + self.adapter
            + self.gradients
            + self.optimizer
            + self.activations
            + self.rest
        )

    def hours(self, tokens: float) -> float:
        """How long that many tokens take."""
        return tokens / self.tokens_per_second / 3600


def estimate(
    shape: Shape,
    gpu: Gpu,
    *,
    gpus: int = 1,
    fsdp: bool = False,
    method: str = TrainArgs.method,
    r: int = TrainArgs.r,
    pass_tokens: int = TrainArgs.micro_tokens,
    checkpointing: bool | None = None,
) -> Estimate:
    """What `shape` takes on `gpus` of a kind; without `fsdp` each holds the whole model.

    `checkpointing` None takes it only where memory is too small without. `pass_tokens` are those
    that one pass holds on one GPU: --micro-tokens, and with FSDP a batch.
    """
    if method not in _REACHED:
        raise ConfigError(f"Unknown method {method!r}.", hint=f"Available: {', '.join(_REACHED)}.")
    if gpus < 1 or r < 1 or pass_tokens < 1:
        raise ConfigError("gpus, r and pass_tokens must be greater than 0.")
    if checkpointing is None:
        options = {"gpus": gpus, "fsdp": fsdp, "method": method, "r": r, "pass_tokens": pass_tokens}
        plain = estimate(shape, gpu, **options, checkpointing=False)  # type: ignore[arg-type]
        if plain.fits:
            return plain
        return estimate(shape, gpu, **options, checkpointing=True)  # type: ignore[arg-type]
    pieces = gpus if fsdp else 1
    learned = shape.adapter(r, method) / pieces
    held = {
        "weights": _weights(shape, pieces, method),
        "adapter": 4 * learned,
        "gradients": 4 * learned,
        "optimizer": 8 * learned,
        "activations": _activations(shape, pass_tokens, checkpointing=checkpointing),
    }
    held["rest"] = _FIXED + _FRAGMENTS * sum(held.values())
    seconds = _seconds(shape, gpu, pieces, method, r, pass_tokens, checkpointing=checkpointing)
    return Estimate(
        **{name: size / 1e9 for name, size in held.items()},
        tokens_per_second=gpus * pass_tokens / seconds,
        checkpointing=checkpointing,
        fits=sum(held.values()) <= gpu.memory * 1e9,
    )


def _weights(shape: Shape, pieces: int, method: str) -> float:
    if method == "qlora":  # 4-bit weights are not cut: accelerate leaves them whole on each GPU
        return _FOUR_BITS * shape.layers * shape.layer + 4 * shape.outside
    whole = 2 * (2 * shape.layer + shape.outside) if pieces > 1 else 0
    return 2 * shape.params / pieces + whole


def _activations(shape: Shape, tokens: int, *, checkpointing: bool) -> float:
    h, k, f = shape.hidden, shape.keys, shape.mlp
    layer = 2 * (4 * h + 2 * k + 4 * f) + 8 * h
    layers = 2 * h * shape.layers + layer if checkpointing else layer * shape.layers
    return tokens * (layers + 16 * _LEARNED * shape.vocabulary)


def _seconds(
    shape: Shape, gpu: Gpu, pieces: int, method: str, r: int, tokens: int, *, checkpointing: bool
) -> float:
    """Of one pass of `tokens` tokens on one GPU, forward and backward."""
    operations = (6 if checkpointing else 4) * shape.params + 6 * shape.adapter(r, method)
    computing = tokens * operations / (gpu.tflops * 1e12 * _REACHED[method])
    cut = pieces > 1 and method != "qlora"
    moving = 4 * shape.params * (pieces - 1) / pieces / (gpu.link * 1e9) if cut else 0.0
    return max(computing, moving)


def shape_for(params: float) -> Shape:
    """A likely shape for a number of weights: the nearest known one, stretched."""
    if not 1e6 <= params <= 1e13:
        raise ConfigError(f"Invalid number of parameters {params:g}.", hint="Example: --params 7e9")
    near = min(SHAPES, key=lambda s: max(s.params / params, params / s.params))
    by = params / near.params
    low, high = 0.0, by + 1.0
    for _ in range(60):  # the vocabulary does not stretch: find the factor that gives `params`
        middle = (low + high) / 2
        low, high = (middle, high) if _stretched(near, middle).params < params else (low, middle)
    return _stretched(near, high)


def _stretched(shape: Shape, by: float) -> Shape:
    factor: float = by ** (1 / 3)

    def wide(width: int) -> int:
        return max(64, round(width * factor / 64) * 64)

    layers = max(1, round(shape.layers * factor))
    return Shape(
        f"like {shape.name}",
        wide(shape.hidden),
        layers,
        wide(shape.mlp),
        wide(shape.keys),
        shape.vocabulary,
        shape.tied,
    )


def shape_of(config: dict[str, Any], name: str = "") -> Shape:
    """The shape that a model's config.json gives."""
    try:
        heads = config["num_attention_heads"]
        head = config.get("head_dim") or config["hidden_size"] // heads
        return Shape(
            name or config.get("model_type", ""),
            config["hidden_size"],
            config["num_hidden_layers"],
            config["intermediate_size"],
            head * config.get("num_key_value_heads", heads),
            config["vocab_size"],
            bool(config.get("tie_word_embeddings", False)),
        )
    except KeyError as error:
        raise ConfigError(
            f"config.json has no {error}: only Llama-like models are supported."
        ) from None


WAYS = (  # what is tried: the heading, how many GPUs, cut into pieces or not, the method
    ("LoRA bf16, 1 GPU", 1, False, "lora"),
    ("QLoRA, 1 GPU", 1, False, "qlora"),
    ("LoRA bf16, FSDP on 8", 8, True, "lora"),
)


def rows(shapes: tuple[Shape, ...] = SHAPES, tokens: float = 5e6) -> list[dict[str, Any]]:
    """One row for each model, way and GPU."""
    found = []
    for shape in shapes:
        for way, gpus, fsdp, method in WAYS:
            for gpu in GPUS:
                e = estimate(shape, gpu, gpus=gpus, fsdp=fsdp, method=method)
                found.append(
                    {
                        "model": shape.name,
                        "way": way,
                        "gpu": gpu.name,
                        "weights": e.weights,
                        "adapter": e.adapter,
                        "gradients": e.gradients,
                        "optimizer": e.optimizer,
                        "activations": e.activations,
                        "rest": e.rest,
                        "total": e.total,
                        "fits": e.fits,
                        "checkpointing": e.checkpointing,
                        "tokens_per_second": e.tokens_per_second,
                        "hours": e.hours(tokens),
                    }
                )
    return found


def table(found: list[dict[str, Any]], tokens: float = 5e6) -> str:
    """The rows as Markdown: GB on each GPU, and how long `tokens` tokens take."""
    lines = [
        "| model | method | GPU | weights | adapter | gradients | optimizer | activations | rest | "
        f"total GB | tokens/s | {tokens / 1e6:g} M tokens |",
        "|---|---|---|" + "---:|" * 9,
    ]
    for row in found:
        parts = ("weights", "adapter", "gradients", "optimizer", "activations", "rest")
        sizes = " | ".join(f"{row[name]:.1f}" for name in parts)
        mark = " ckpt" if row["checkpointing"] else ""
        took = "does not fit | —"
        if row["fits"]:
            took = f"{row['tokens_per_second']:,.0f} | {_duration(row['hours'])}"
        lines.append(
            f"| {row['model']} | {row['way']}{mark} | {row['gpu']} | {sizes} | "
            f"{row['total']:.1f} | {took} |"
        )
    return "\n".join(lines)


def _duration(hours: float) -> str:
    return f"{hours:.1f} h" if hours >= 1 else f"{max(1, round(hours * 60))} min"
