"""The tiny GPT: causal, equal with a cache and padding, and a vocabulary that keeps texts."""

from collections.abc import Iterator

import pytest
import torch

from research_repro.papers.lora.records import generate
from research_repro.papers.lora.tiny_gpt import START, UNKNOWN, TinyGPT, Vocabulary, complete


@pytest.fixture(name="vocabulary")
def fixture_vocabulary() -> Vocabulary:
    records = generate(0, 20, "train")
    return Vocabulary.of([text for r in records for text in (r.mr, *r.references)])


@pytest.fixture(name="model")
def fixture_model(vocabulary: Vocabulary) -> Iterator[TinyGPT]:
    torch.manual_seed(0)
    model = TinyGPT(len(vocabulary.words), width=32, layers=2, heads=4).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # so that each word depends on those before
    with torch.inference_mode():
        yield model


def test_a_later_token_changes_no_earlier_logits(model: TinyGPT) -> None:
    ids = torch.arange(4, 16)[None]
    changed = ids.clone()
    changed[0, 7] = 20

    before, after = model(ids), model(changed)

    assert torch.equal(before[:, :7], after[:, :7])
    assert not torch.allclose(before[:, 7:], after[:, 7:])


def test_complete_equals_one_forward_pass_per_word_in_spite_of_padding_and_cache(
    model: TinyGPT, vocabulary: Vocabulary
) -> None:
    prompts = [record.mr for record in generate(0, 5, "train")]
    texts = complete(model, vocabulary, prompts, limit=6)
    for prompt, text in zip(prompts, texts, strict=True):
        ids = [*vocabulary.encode(prompt), START]
        start = len(ids)
        for _ in range(6):
            ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
        assert vocabulary.decode(ids[start:]).startswith(text)
        assert text


def test_vocabulary_gives_texts_back(vocabulary: Vocabulary) -> None:
    for record in generate(0, 20, "train"):
        for text in record.references:
            assert vocabulary.decode(vocabulary.encode(text)) == text


def test_words_outside_the_vocabulary_are_unknown(vocabulary: Vocabulary) -> None:
    assert vocabulary.encode("zebra") == [UNKNOWN]


def test_parameters_at_laptop_scale() -> None:
    model = TinyGPT(190, width=128, layers=4, heads=4)
    assert 0.8e6 < sum(p.numel() for p in model.parameters()) < 0.85e6
