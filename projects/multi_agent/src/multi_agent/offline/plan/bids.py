"""How well each specialist could do a task, 0 to 1, by trying it.

bids = Bids(parser, quoter, team)
bids("What is 15 % of 240?")            # {"calculator": 0.95, "analyst": 0.0, …}
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from multi_agent.brain import Member
from multi_agent.offline.arithmetic import looks_like_arithmetic
from multi_agent.offline.quotes.quoter import Quoter
from multi_agent.offline.sql.question import QuestionParser

_WRITE = re.compile(r"^(?:please\s+)?(?:write|draft|compose|summari[sz]e)\b", re.IGNORECASE)


class Bids:
    """The bids of a team; specialists that rules know nothing of bid 0.

    From 0.5 a specialist has an answer; below it can at best say what it does not understand.
    """

    def __init__(
        self, parser: QuestionParser | None, quoter: Quoter | None, team: Sequence[Member]
    ) -> None:
        self._parser, self._quoter = parser, quoter
        self._names = [member.name for member in team]

    def __call__(self, task: str) -> dict[str, float]:
        """The bid of each specialist."""
        return {name: self._bid(name, task) for name in self._names}

    def _bid(self, name: str, task: str) -> float:
        match name:
            case "analyst" if self._parser:
                parse, coverage = self._parser.parse(task), self._parser.coverage(task)
                return 0.3 * coverage if parse.problem else 0.5 + 0.45 * coverage
            case "researcher" if self._quoter:
                return self._quoter.bid(task)
            case "calculator":
                return looks_like_arithmetic(task)
            case "coder":
                return 0.95 if "```" in task else 0.0
            case "writer":
                return 0.8 if _WRITE.match(task) else 0.0
        return 0.0
