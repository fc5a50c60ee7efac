"""A Llama small enough to pre-train in minutes on one core, and a tokenizer of whole words.

tokenizer = make_tokenizer(texts)
model = make_model(len(tokenizer), width=128, layers=4)     # 0.8 M parameters
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

START = "<start>"  # between a record and its text
SPECIAL = {"pad_token": "<pad>", "bos_token": START, "eos_token": "<end>", "unk_token": "<unknown>"}


def make_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer whose tokens are the words and punctuation marks of these texts.

    >>> tokenizer = make_tokenizer(["A family-friendly pub."])
    >>> tokenizer.decode(tokenizer("A pub.")["input_ids"])
    'A pub.'
    """
    words = Tokenizer(models.WordLevel(unk_token=SPECIAL["unk_token"]))
    pattern = Regex(r"[\w£'-]+|[^\w\s]")
    words.pre_tokenizer = pre_tokenizers.Split(pattern, "removed", invert=True)
    words.train_from_iterator(texts, trainers.WordLevelTrainer(special_tokens=[*SPECIAL.values()]))
    return PreTrainedTokenizerFast(
        tokenizer_object=words, clean_up_tokenization_spaces=True, **SPECIAL
    )


def make_model(words: int, width: int, layers: int, *, bias: bool = False) -> LlamaForCausalLM:
    """A Llama with four heads and random weights; `bias` gives its linear layers biases."""
    config = LlamaConfig(
        vocab_size=words,
        hidden_size=width,
        intermediate_size=11 * width // 4,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        initializer_range=width**-0.5,  # with the usual 0.02, training takes twice as long
        attention_bias=bias,
        mlp_bias=bias,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model: LlamaForCausalLM = LlamaForCausalLM(config)
    return model
