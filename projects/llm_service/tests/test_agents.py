"""Agent frameworks in their default modes against the running service with its real model.

Frameworks that are not installed are skipped, with the command that installs them.
"""

import pytest
from pydantic import BaseModel

pytestmark = pytest.mark.slow

ANSWER = "sunny, 22 degrees"
QUESTION = "What is the weather in Paris?"
INGRID = "Ingrid is 47 years old."


class Person(BaseModel):
    name: str
    age: int


def require(module: str, package: str):
    return pytest.importorskip(module, reason=f"uv pip install {package!r}")


def get_weather(city: str) -> str:  # noqa: ARG001
    """Get the current weather in a city."""
    return ANSWER


@pytest.fixture
def url(service):
    return f"{service}/v1"


async def test_pydantic_ai_agent_and_output(url):
    pydantic_ai = require("pydantic_ai", "pydantic-ai-slim[openai]")
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel("smollm2", provider=OpenAIProvider(base_url=url, api_key="none"))
    agent = pydantic_ai.Agent(model, tools=[get_weather])
    assert ANSWER in (await agent.run(QUESTION)).output.lower()
    async with agent.run_stream(QUESTION) as stream:
        assert ANSWER in (await stream.get_output()).lower()
    extractor = pydantic_ai.Agent(model, output_type=pydantic_ai.ToolOutput(Person))
    assert (await extractor.run(INGRID)).output.age == 47


@pytest.mark.parametrize(
    "kind",
    ["OpenAIChatCompletionsModel", "OpenAIResponsesModel"],
)
async def test_openai_agent_answers_with_the_tool_result(url, kind):
    agents = require("agents", "openai-agents")
    from openai import AsyncOpenAI

    agents.set_tracing_disabled(True)
    async with AsyncOpenAI(base_url=url, api_key="none") as client:
        agent = agents.Agent(
            name="assistant",
            instructions="Be helpful.",
            model=getattr(agents, kind)(model="smollm2", openai_client=client),
            tools=[agents.function_tool(get_weather)],
        )
        result = await agents.Runner.run(agent, QUESTION)
    assert ANSWER in result.final_output.lower()
