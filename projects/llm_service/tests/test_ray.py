"""Ray Serve with two nodes on this machine: who answers, and what the loss of a node costs."""

import asyncio
import contextlib
import json
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import aiohttp
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route

from llm_service import ray_app
from llm_service.ask import Ask, Backend, Delta, Embedded, Event, Finish, Load, Usage
from llm_service.backends.ray import RayBackend, Sent
from llm_service.config import Config
from seedbed.errors import BadInput, Busy, ConfigError, SeedbedError, Unavailable
from seedbed.settings import Settings

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")

PAUSE = 0.03  # between two words
# Long enough to have blocks that the affinity knows.
PREFIX = "You answer the questions of a library's visitors, briefly and in a kind voice. " * 8


class Fake:
    """A model that counts aloud; the last user message says what else it should do."""

    name = "fake"

    def __init__(self) -> None:
        self.load = Load()
        self.cancelled = 0

    async def generate(self, ask: Ask) -> AsyncIterator[Event]:
        text = ask.body["messages"][-1]["content"]
        if text.endswith("fail"):
            raise BadInput("No.", hint="Say something else.")
        if text.endswith("busy"):
            raise Busy("Full.", retry_after=7)
        words = [f"w{i} " for i in range(ask.body.get("max_tokens", 5))]
        if "where" in text:
            words = [ray.get_runtime_context().get_node_id()]
            if "cancelled" in text:
                words.append(f" {self.cancelled}")
        try:
            for word in words:
                await asyncio.sleep(PAUSE)
                yield Delta(word)
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled += 1
            raise
        yield Finish("stop")
        yield Usage(len(text), len(words))

    async def embed(self, ask: Ask) -> Embedded:
        return Embedded([[1.0, 2.0]] * len(ask.body["input"]), 3)

    async def check(self) -> None:
        return None

    async def close(self) -> None:
        return None


def make_fake(*_: Any) -> Backend:
    return Fake()


def make_app(
    config: Config, settings: Settings, local_only: bool, backends: Mapping[str, Backend]
) -> Starlette:
    """A gateway of three routes, with the events as lines of JSON."""
    backend = backends["fake"]
    assert isinstance(backend, RayBackend)

    async def lines(ask: Ask) -> AsyncIterator[str]:
        try:
            async with contextlib.aclosing(backend.generate(ask)) as events:
                async for event in events:
                    yield json.dumps([type(event).__name__, getattr(event, "text", "")]) + "\n"
        except SeedbedError as error:
            found = [error.status, str(error), error.retry_after]
            yield json.dumps(["error", found]) + "\n"

    async def generate(request: Request) -> StreamingResponse:
        body = await request.json()
        stream = body.pop("stream", False)
        return StreamingResponse(lines(Ask("chat", "fake", body, stream=stream)))

    async def embed(request: Request) -> JSONResponse:
        found = await backend.embed(Ask("embedding", "fake", await request.json()))
        return JSONResponse(found.vectors)

    async def state(_: Request) -> JSONResponse:
        await backend.check()
        node = ray.get_runtime_context().get_node_id()
        return JSONResponse({"lost": backend.lost, "running": backend.load.running, "node": node})

    return Starlette(
        routes=[
            Route("/generate", generate, methods=["POST"]),
            Route("/embed", embed, methods=["POST"]),
            Route("/state", state),
        ]
    )


class Client:
    def __init__(self, url: str, cluster: Any) -> None:
        self.url = url
        self.cluster = cluster

    async def answer(self, text: str, **body: Any) -> str:
        """The text of an answer that ended well."""
        events = await self.events(text, **body)
        assert [event[0] for event in events[-2:]] == ["Finish", "Usage"], events
        return "".join(event[1] for event in events[:-2])

    async def events(self, text: str, **body: Any) -> list[Any]:
        body["messages"] = [{"role": "user", "content": text}]
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{self.url}/generate", json=body) as response:
                assert response.status == 200, await response.text()
                return [json.loads(line) async for line in response.content]

    async def get(self, path: str) -> Any:
        async with aiohttp.ClientSession() as session:
            async with session.get(self.url + path) as response:
                assert response.status == 200, await response.text()
                return await response.json()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A cluster of two nodes with room for one replica each."""
    from ray import serve
    from ray.cluster_utils import Cluster

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    folder = tmp_path_factory.mktemp("ray")
    table = folder / "models.toml"
    table.write_text('[models.fake]\nbackend = "local"\n')
    config = Config(models=table, data_dir=folder, max_running=8, max_queue=10)
    cluster = Cluster(head_node_args={"num_cpus": 1, "include_dashboard": False}, initialize_head=True)
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    port = free_port()
    serve.start(proxy_location="HeadOnly", http_options={"port": port})
    target = ray_app.application(
        config, Settings(), replicas=2, make_backend=make_fake, make_app=make_app
    )
    serve.run(target, name=ray_app.NAME)
    yield Client(f"http://127.0.0.1:{port}", cluster)
    serve.shutdown()
    ray.shutdown()
    cluster.shutdown()


class TestCluster:
    pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]  # noqa: RUF012

    async def test_replicas_on_both_nodes_answer(self, client: Client) -> None:
        found = await asyncio.gather(*[client.answer("where") for _ in range(12)])
        assert set(found) == {node["NodeID"] for node in ray.nodes()}

    async def test_the_gateway_is_on_the_head_node(self, client: Client) -> None:
        head = client.cluster.head_node.node_id
        assert (await client.get("/state"))["node"] == head

    async def test_one_beginning_goes_to_one_replica(self, client: Client) -> None:
        for letter in "abcdef":  # each would go elsewhere half of the time
            text = letter + PREFIX
            found = {await client.answer(f"{text} {i} where") for i in range(5)}
            assert len(found) == 1

    async def test_a_beginning_that_all_have_does_not_make_one_replica_busy(
        self, client: Client
    ) -> None:
        await client.answer(f"x{PREFIX} 0 where")
        found = await asyncio.gather(*[client.answer(f"x{PREFIX} {i} where") for i in range(16)])
        nodes = [found.count(node) for node in set(found)]
        assert len(nodes) == 2 and min(nodes) >= 4, nodes

    async def test_more_than_run_together_wait_and_then_are_refused(self, client: Client) -> None:
        found = await asyncio.gather(*[client.events("x", max_tokens=20) for _ in range(60)])
        ends = [events[-1] for events in found]
        refused = [end for end in ends if end[0] == "error"]
        assert {end[1][0] for end in refused} == {429}
        assert 60 - len(refused) >= 2 * 10 + 8  # run and wait
        assert all(end[0] == "Usage" for end in ends if end not in refused)

    @pytest.mark.parametrize("stream", [False, True])
    async def test_what_a_replica_raises_arrives_as_it_is(
        self, client: Client, stream: bool
    ) -> None:
        assert await client.events("fail", stream=stream) == [
            ["error", [400, "No. Say something else.", None]]
        ]
        assert await client.events("busy", stream=stream) == [["error", [429, "Full.", 7]]]

    async def test_embeddings(self, client: Client) -> None:
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{client.url}/embed", json={"input": ["a", "b"]}) as found:
                assert await found.json() == [[1.0, 2.0], [1.0, 2.0]]

    async def test_a_client_that_leaves_stops_the_replica(self, client: Client) -> None:
        body = {"messages": [{"content": "x"}], "max_tokens": 500, "stream": True}
        before = await cancelled(client)
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{client.url}/generate", json=body) as response:
                assert b"w0" in await response.content.readline()
        for _ in range(50):
            if await cancelled(client) > before:
                break
            await asyncio.sleep(0.1)
        assert await cancelled(client) == before + 1
        assert (await client.get("/state"))["running"] == 0

    async def test_no_answer_is_lost_with_a_node(self, client: Client) -> None:
        """Under steady load, half of it streamed: what was in flight there is answered too."""
        end = time.monotonic() + 12
        answers: list[str] = []

        async def ask_on(number: int) -> None:
            while time.monotonic() < end:
                stream = bool(number % 2)
                answers.append(await client.answer("x", max_tokens=30, stream=stream))

        async with asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(ask_on(number))
            await asyncio.sleep(2)
            node = next(iter(client.cluster.worker_nodes))
            await asyncio.to_thread(client.cluster.remove_node, node, allow_graceful=False)
            killed = len(answers)
        assert set(answers) == {"".join(f"w{i} " for i in range(30))}
        assert len(answers) > killed + 16
        assert (await client.get("/state"))["lost"] >= 4
        assert await client.answer("where") == client.cluster.head_node.node_id

    async def test_a_new_node_gets_a_replica(self, client: Client) -> None:
        node = client.cluster.add_node(num_cpus=1)
        for _ in range(100):
            found = await asyncio.gather(*[client.answer("where") for _ in range(6)])
            if node.node_id in found:
                return
            await asyncio.sleep(0.2)
        pytest.fail("no replica on the new node within 20 s")


async def cancelled(client: Client) -> int:
    """How many requests the replicas saw cancelled, all of them together."""
    found: dict[str, int] = {}
    for _ in range(4):
        pairs = [client.answer("where and cancelled"), client.answer("where and cancelled")]
        for text in await asyncio.gather(*pairs):
            node, count = text.split()
            found[node] = int(count)
    return sum(found.values())
