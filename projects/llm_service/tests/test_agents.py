"""Agent frameworks in their default modes against the running service with its real model.

Frameworks that are not installed are skipped, with the command that installs them.
"""

import json
import os
import shutil
import subprocess
from typing import Literal

import pytest
from pydantic import BaseModel
from service_fakes import needs

pytestmark = pytest.mark.slow

ANSWER = "sunny, 22 degrees"
QUESTION = "What is the weather in Paris?"


class Person(BaseModel):
    name: str
    age: int


def require(module: str, package: str):
    return pytest.importorskip(module, reason=f"uv pip install {package!r}")


@pytest.fixture
def url(service):
    return f"{service}/v1"


def test_langchain_agent_answers_with_the_tool_result(url):
    require("langchain", "langchain")
    from langchain.agents import create_agent
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI

    @tool
    def get_weather(city: str) -> str:
        """Get the current weather in a city."""
        return f"{ANSWER} in {city}"

    llm = ChatOpenAI(model="smollm2", base_url=url, api_key="none")
    messages = create_agent(llm, [get_weather]).invoke({"messages": [("user", QUESTION)]})
    assert [message.type for message in messages["messages"]] == ["human", "ai", "tool", "ai"]
    assert f"{ANSWER} in Paris" in messages["messages"][-1].text.lower().replace("paris", "Paris")


def test_langchain_structured_output_extracts_a_person(url):
    from langchain_openai import ChatOpenAI

    llm = ChatOpenAI(model="smollm2", base_url=url, api_key="none")
    prompt = "Ingrid is 47 years old."
    person = llm.with_structured_output(Person, method="json_schema").invoke(prompt)
    assert person == Person(name="Ingrid", age=47)


def pydantic_ai_model(url):
    require("pydantic_ai", "pydantic-ai-slim[openai]")
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    return OpenAIChatModel("smollm2", provider=OpenAIProvider(base_url=url, api_key="none"))


async def test_pydantic_ai_agent_answers_with_the_tool_result(url):
    model = pydantic_ai_model(url)
    from pydantic_ai import Agent

    agent = Agent(model)

    @agent.tool_plain
    def get_weather(city: str) -> str:  # noqa: ARG001
        """Get the current weather in a city."""
        return ANSWER

    result = await agent.run(QUESTION)
    assert ANSWER in result.output.lower()
    async with agent.run_stream(QUESTION) as stream:
        assert ANSWER in (await stream.get_output()).lower()


async def test_pydantic_ai_output_extracts_a_person(url):
    model = pydantic_ai_model(url)
    from pydantic_ai import Agent, ToolOutput

    result = await Agent(model, output_type=ToolOutput(Person)).run("Ingrid is 47 years old.")
    assert result.output.age == 47
    assert result.output.name != "tool"


def test_instructor_extracts_a_person(url):
    instructor = require("instructor", "instructor")
    from openai import OpenAI

    with OpenAI(base_url=url, api_key="none") as openai:
        client = instructor.from_openai(openai, mode=instructor.Mode.TOOLS)
        messages = [{"role": "user", "content": "Ingrid is 47 years old."}]
        person = client.chat.completions.create(
            model="smollm2", response_model=Person, messages=messages, max_retries=0
        )
    assert person.age == 47
    assert person.name != "tool"


@pytest.mark.parametrize(
    "api", ["chat", pytest.param("responses", marks=needs("protocol.responses"))]
)
async def test_openai_agent_answers_with_the_tool_result(url, api):
    agents = require("agents", "openai-agents")
    from openai import AsyncOpenAI

    @agents.function_tool
    def get_weather(city: str) -> str:  # noqa: ARG001
        """Get the current weather in a city."""
        return ANSWER

    agents.set_tracing_disabled(True)
    kind: Literal["OpenAIChatCompletionsModel", "OpenAIResponsesModel"] = (
        "OpenAIChatCompletionsModel" if api == "chat" else "OpenAIResponsesModel"
    )
    async with AsyncOpenAI(base_url=url, api_key="none") as client:
        model = getattr(agents, kind)(model="smollm2", openai_client=client)
        agent = agents.Agent(
            name="assistant", instructions="Be helpful.", model=model, tools=[get_weather]
        )
        result = await agents.Runner.run(agent, QUESTION)
    assert ANSWER in result.final_output.lower()


SCRIPT = """
const { generateText, streamText, tool, stepCountIs } = require('ai');
const { createOpenAICompatible } = require('@ai-sdk/openai-compatible');
const { z } = require('zod');
const model = createOpenAICompatible({ name: 'local', baseURL: process.argv[2] })('smollm2');
const weather = tool({
  description: 'Get the current weather in a city.',
  inputSchema: z.object({ city: z.string() }),
  execute: async () => process.argv[3],
});
const asked = { model, tools: { weather }, stopWhen: stepCountIs(3), prompt: process.argv[4] };
(async () => {
  const whole = await generateText(asked);
  const stream = streamText(asked);
  let text = '';
  for await (const part of stream.textStream) text += part;
  console.log(JSON.stringify({ whole: whole.text, steps: whole.steps.length, stream: text }));
})();
"""


def test_vercel_ai_answers_with_the_tool_result(url, tmp_path):
    node = shutil.which("node")
    script = tmp_path / "agent.cjs"
    script.write_text(SCRIPT)
    packages = "ai @ai-sdk/openai-compatible zod"
    if (
        node is None
        or subprocess.run([node, "-e", "require('ai')"], capture_output=True).returncode
    ):
        pytest.skip(f"npm install --prefix DIR {packages}, and NODE_PATH=DIR/node_modules")
    command = [node, str(script), url, ANSWER, QUESTION]
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=True)
    answer = json.loads(result.stdout.splitlines()[-1])
    assert answer["steps"] == 2
    assert ANSWER in answer["whole"].lower() and ANSWER in answer["stream"].lower()
