"""One column of the row with a name: "What does the Single rope cost?", "When did Emma join?"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from multi_agent.brain import Query, Refusal
from multi_agent.data.schema import quoted
from multi_agent.offline.sql.tables import Table
from multi_agent.offline.words import Words

TEMPLATES = {
    r"what (?:is|was) the (?P<column>.+?) of (?P<name>.+)": "number|text|date",
    r"(?:what|how much) (?:do|does) (?P<name>.+) (?P<column>costs?|weighs?)": "number",
    r"when (?:did|was|were) (?P<name>.+) (?P<column>\w+)": "date",
}
"""Questions, with the kinds of the column that they ask for."""
_ARTICLE = re.compile(r"^(?:the|our|a|an) ", re.IGNORECASE)


def query(text: str, tables: Sequence[Table]) -> Query | None:
    """SELECT column FROM table WHERE label = name."""
    for template, kinds in TEMPLATES.items():
        match = re.fullmatch(template, text, re.IGNORECASE)
        if match is None:
            continue
        name, found = Words(_ARTICLE.sub("", match["name"])), []
        for table in tables:
            for label, stored in table.values.get(tuple(name.stems), ()):
                asked = Words(match["column"])
                columns = [c for kind in kinds.split("|") for c in table.named_in(asked, kind)]
                if label == table.label and columns and asked.take(*columns[0].phrases):
                    asked.require_none_left()
                    found += [(label, stored, column) for column in columns]
        if len(found) > 1:
            raise Refusal(f"{match['name']!r} can be in several tables or columns.")
        if found:
            label, stored, column = found[0]
            text = stored.replace("'", "''")
            source = f"FROM {quoted(label.table)} WHERE {label.spelled} = '{text}'"
            unit = column.unit.removesuffix("cents")
            return Query(f"SELECT {column.amount} {source}", f"{column.name} of {stored}", unit)
    return None
