"""The generated data set: the same for a seed, splits apart, and texts that state every slot."""

import re

from research_repro.papers.lora.records import generate, mentions, values_of


def _without_name(mr: str) -> str:
    return re.sub(r"^name\[[^]]*], ", "", mr)


def test_generate_repeats_records_of_a_seed_and_changes_them_with_the_seed() -> None:
    assert generate(1, 20, "train") == generate(1, 20, "train")
    assert generate(1, 20, "train") != generate(2, 20, "train")


def test_splits_share_no_meaning_representation_even_under_other_names() -> None:
    train = {_without_name(record.mr) for record in generate(0, 800, "train")}
    test = {_without_name(record.mr) for record in generate(0, 200, "test")}

    assert not train & test


def test_every_reference_states_every_slot() -> None:
    for record in generate(3, 300, "test"):
        assert 5 <= len(set(record.references)) <= 8, record.mr
        for text in record.references:
            assert all(mentions(record.slots, text).values()), (record.mr, text)


def test_mentions_rejects_texts_about_other_values() -> None:
    slots = ("eatType", "food", "priceRange", "area", "familyFriendly")
    for record in generate(5, 100, "dev"):
        for slot in slots:
            for other in values_of(slot):
                if other != record.slots.get(slot, other):
                    stated = mentions({**record.slots, slot: other}, record.references[0])
                    assert not stated[slot], (slot, other, record.references[0])
