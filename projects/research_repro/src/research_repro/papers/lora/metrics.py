"""Scores of texts generated from meaning representations: BLEU, NIST, ROUGE-L, slot accuracy.

    scores(texts, records)      # {"bleu": 65.93, "nist": 8.609, "rouge_l": 68.42, "slots": 97.1}

The settings are those of the E2E challenge's script (github.com/tuetschek/e2e-metrics), with which
the paper was scored: mteval's tokens (13a), lower case, any number of references. Measured on four
systems' published outputs for the E2E test set, 630 meaning representations, against the published
scores (Dušek et al. 2020, table 6): BLEU and NIST equal to all published digits, ROUGE-L within
0.16 points, because Stanford's tokenizer is replaced by mteval's.

    TGen    BLEU 65.93 (65.93)   NIST 8.6094 (8.6094)   ROUGE-L 68.42 (68.50)
    Slug         66.19 (66.19)        8.6130 (8.6130)           67.61 (67.72)
    TUDA         56.57 (56.57)        7.4544 (7.4544)           65.98 (66.14)
    Sheff2       54.36 (54.36)        5.7462 (5.7462)           61.60 (61.52)

METEOR and CIDEr are left out: they need Java, and nltk's METEOR a download (WordNet).
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence

from research_repro.papers.lora.records import Record, mentions

NIST_ORDER = 5  # of the longest n-gram
RECALL_WEIGHT = 1.2**2  # in ROUGE-L, as in the COCO caption scorer
PUNCTUATION = frozenset(".,;:!?-'\"`()")  # which that scorer removes


def scores(texts: Sequence[str], records: Sequence[Record]) -> dict[str, float]:
    """All metrics of a text for each record; `slots` is the share of correctly stated slots in %.

    BLEU hides wrong facts ("family friendly" for familyFriendly[no]); the slots show them.
    """
    references = [record.references for record in records]
    stated = [mentions(r.slots, text) for r, text in zip(records, texts, strict=True)]
    return {
        "bleu": bleu(texts, references),
        "nist": nist(texts, references),
        "rouge_l": rouge_l(texts, references),
        "slots": 100 * sum(sum(row.values()) for row in stated) / sum(map(len, stated)),
    }


def bleu(texts: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Corpus BLEU-4 in percent; signature `nrefs:var|case:lc|eff:no|tok:13a|smooth:exp`.

    >>> bleu(["The Oak is a pub by the river."], [["the oak is a pub by the river."]])
    100.0
    """
    from sacrebleu import corpus_bleu

    streams = list(itertools.zip_longest(*references))  # the i-th references of all texts
    return round(corpus_bleu(list(texts), streams, lowercase=True, tokenize="13a").score, 6)


def nist(texts: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Corpus NIST-5 (Doddington 2002, eq. 3), with n-grams matched in all references together.

    nltk's corpus_nist takes the best single reference instead: 7.13 for TGen.
    """
    from nltk.translate.nist_score import nist_length_penalty

    sentences = [_tokens(text) for text in texts]
    tokens = [[_tokens(text) for text in row] for row in references]
    frequency = Counter(ngram for row in tokens for text in row for ngram in _ngrams(text))
    words = frequency[()] = sum(len(text) for row in tokens for text in row)  # for eq. 2
    information, total = [0.0] * (NIST_ORDER + 1), [0] * (NIST_ORDER + 1)
    for sentence, row in zip(sentences, tokens, strict=True):
        counts = [Counter(_ngrams(text)) for text in row]
        for ngram, n in Counter(_ngrams(sentence)).items():
            total[len(ngram)] += n
            if hits := min(n, max(count.get(ngram, 0) for count in counts)):
                information[len(ngram)] += hits * math.log2(
                    frequency[ngram[:-1]] / frequency[ngram]
                )
    mean = sum(bits / max(1, n) for bits, n in zip(information, total, strict=True))
    reference_length = words / sum(map(len, references)) * len(texts)
    return float(mean * nist_length_penalty(reference_length, sum(map(len, sentences))))


def rouge_l(texts: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Mean ROUGE-L in percent, from the best precision and the best recall over the references."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], tokenizer=_Words())
    values = []
    for text, row in zip(texts, references, strict=True):
        pairs = [scorer.score(reference, text)["rougeL"] for reference in row]
        precision = max(pair.precision for pair in pairs)
        recall = max(pair.recall for pair in pairs)
        below = recall + RECALL_WEIGHT * precision
        values.append((1 + RECALL_WEIGHT) * precision * recall / below if below else 0.0)
    return 100 * math.fsum(values) / len(values)


class _Words:
    def tokenize(self, text: str) -> list[str]:
        return [token for token in _tokens(text) if token not in PUNCTUATION]


def _tokens(text: str) -> list[str]:
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    return str(Tokenizer13a()(text.lower())).split()  # type: ignore[no-untyped-call]


def _ngrams(tokens: Sequence[str]) -> list[tuple[str, ...]]:
    orders = range(1, NIST_ORDER + 1)
    return [tuple(tokens[i : i + n]) for n in orders for i in range(len(tokens) - n + 1)]
