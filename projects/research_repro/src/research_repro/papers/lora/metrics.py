"""Scores of texts generated from meaning representations: BLEU and slot accuracy.

    scores(texts, records)      # {"bleu": 65.93, "slots": 97.1}

BLEU is that of the E2E challenge's script (github.com/tuetschek/e2e-metrics), with which the paper
was scored: mteval's tokens (13a), lower case, any number of references. On the published outputs of
four systems for the E2E test set it equals all published digits (Dušek et al. 2020, table 6): TGen
65.93, Slug 66.19, TUDA 56.57, Sheff2 54.36.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from research_repro.papers.lora.records import Record, mentions


def scores(texts: Sequence[str], records: Sequence[Record]) -> dict[str, float]:
    """Both metrics of a text for each record; `slots` is the share of correctly stated slots in %.

    BLEU hides wrong facts ("family friendly" for familyFriendly[no]); the slots show them.
    """
    stated = [mentions(r.slots, text) for r, text in zip(records, texts, strict=True)]
    return {
        "bleu": bleu(texts, [record.references for record in records]),
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
