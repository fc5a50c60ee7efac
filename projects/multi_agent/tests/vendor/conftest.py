"""A team whose model is behind the API of a strict vendor, over the sample shop."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from multi_agent.config import Config
from multi_agent.team.open_team import open_team
from multi_agent.team.team import Team
from seedbed.settings import Settings, load
from seedbed.testing.vendor.script import Item, Script, Usage, read_replies
from seedbed.testing.vendor.server import launch_vendor

MCP_SERVER = Path(__file__).parents[1] / "tools/mcp_test_server.py"
SPEC = "openai:gpt-4o-mini"
PRICES = {"input_tokens": 0.15e-6, "output_tokens": 0.60e-6}  # USD, of gpt-4o-mini


class Solver:
    """A team over the sample shop with a model behind a vendor whose replies change by task."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack, self._folder = stack, folder
        self._script = Script([])
        self.vendor = stack.enter_context(launch_vendor(lambda body: self._script.take(body)))
        self._teams: dict[str, Team] = {}

    def __call__(
        self, task: str, replies: Path | Sequence[Item], answers: Sequence[str] = (), **config: Any
    ) -> SimpleNamespace:
        """The run of a task and its vendor. `answers` are what the user says to each question."""
        self.replies(read_replies(replies) if isinstance(replies, Path) else replies)
        team = self._team(config)
        run = team.wait(team.start(task))
        for answer in answers:
            assert run.status == "waiting", run
            team.reply(run.id, answer, team.question(run.id)["key"])
            run = team.wait(run.id)
        return SimpleNamespace(run=run, vendor=self.vendor, team=team)

    def resume(self, solved: SimpleNamespace, replies: Sequence[Item]) -> SimpleNamespace:
        """The run after it was resumed, with other replies."""
        self.replies(replies)
        solved.team.resume(solved.run.id)
        run = solved.team.wait(solved.run.id)
        return SimpleNamespace(run=run, vendor=self.vendor, team=solved.team)

    def replies(self, replies: Sequence[Item]) -> None:
        """What the vendor answers from now on."""
        self._script = Script(replies)
        self.vendor.calls, self.vendor.usage = [], Usage()

    def _team(self, config: dict[str, Any]) -> Team:
        if (key := repr(config)) not in self._teams:
            settings = load(Settings, model=SPEC, base_url=f"{self.vendor.url}/v1")
            folder = self._folder / str(len(self._teams))
            config = {"data_dir": folder, **config}
            self._teams[key] = self._stack.enter_context(
                open_team(load(Config, **config), settings)
            )
        return self._teams[key]


@pytest.fixture(scope="session")
def solve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Solver]:
    pytest.importorskip("multi_agent.sample.shop")
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "test-key")
        yield Solver(stack, tmp_path_factory.mktemp("vendor"))


@pytest.fixture
def mcp_servers() -> dict[str, str]:
    return {"shop": shlex.join([sys.executable, str(MCP_SERVER)])}


def cost(usage: Any) -> float:
    """USD of what the server counted."""
    return sum(getattr(usage, name) * price for name, price in PRICES.items())


@pytest.fixture
def check_spent() -> Callable[[Any], None]:
    """Tokens and USD of a run are those that the server counted, to the cent of a cent."""

    def check(solved: SimpleNamespace) -> None:
        usage, counted = solved.run.usage, solved.vendor.usage
        assert usage["tokens"] == counted.input_tokens + counted.output_tokens
        assert usage["usd"] == pytest.approx(cost(counted), abs=1e-9)
        assert usage["usd"] > 0

    return check
