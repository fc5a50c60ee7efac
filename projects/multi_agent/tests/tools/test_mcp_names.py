"""Names of MCP tools that every vendor accepts."""

from __future__ import annotations

import re
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from multi_agent.tools.mcp_client import tool_names

LISTINGS = st.lists(
    st.tuples(
        st.sampled_from(["a", "a.b", "größe", "x" * 70]),
        st.text("aé._-/ 1", max_size=3) | st.text(min_size=60, max_size=200),
    ),
    unique=True,
    max_size=12,
)


@given(LISTINGS)
def test_names_are_accepted_by_vendors_and_unique(tools: list[tuple[str, str]]) -> None:
    names = tool_names(tools)
    assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", name) for name in names)
    assert len(set(names)) == len(tools)


@given(LISTINGS, st.randoms())
def test_name_does_not_depend_on_the_order_of_a_listing(
    tools: list[tuple[str, str]], random: Random
) -> None:
    names = dict(zip(tools, tool_names(tools), strict=True))
    random.shuffle(tools)
    assert dict(zip(tools, tool_names(tools), strict=True)) == names
