"""The example of one's own shop and payment provider, and the settings that choose them."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Header

from agentic_workflow.config import Config, import_part
from agentic_workflow.decide.shop import look_up
from agentic_workflow.effects.outbox import Outbox
from agentic_workflow.engine.desk import open_receivers, open_store
from seedbed.settings import load
from seedbed.testing.launch import serve_app

EXAMPLES = Path(__file__).parents[1] / "examples"
ORDER = {
    **{"number": "SO-00123", "customer": "7", "state": "cancelled", "tracking": ""},
    **{"total": "20.01", "paid": "20.01", "refunded": "0"},
}
PAYLOAD = {"order_id": "SO-00123", "amount": "20.01", "currency": "EUR"}


@pytest.fixture
def refunds() -> dict[str, Any]:
    return {}


@pytest.fixture(autouse=True)
def shop_api(refunds: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    app = FastAPI()

    @app.get("/customers")
    def customers(email: str) -> list[dict[str, str]]:
        return [{"id": "7", "name": "Tom"}] if email == "tom@mail.example" else []

    @app.get("/orders")
    def orders(number: str) -> list[dict[str, str]]:
        return [ORDER] if number == ORDER["number"] else []

    @app.post("/refunds")
    def book(body: dict[str, str], idempotency_key: str = Header()) -> dict[str, str]:
        refunds.setdefault(idempotency_key, body)
        return {"id": f"R-{idempotency_key[:4]}"}

    monkeypatch.chdir(EXAMPLES)
    with serve_app(app) as url:
        monkeypatch.setenv("MY_SHOP_URL", url)
        yield


def test_own_shop_is_looked_up() -> None:
    shop = import_part("own_shop:MyShop", "WORKFLOW_SHOP")
    facts = look_up(shop, "Tom@mail.example", "so-00123")
    assert (facts.order_id, facts.order_status) == ("SO-00123", "cancelled")
    assert (facts.customer_name, facts.refundable) == ("Tom", Decimal("20.01"))
    assert look_up(shop, "eve@mail.example", "SO-00123").order_id is None
    assert look_up(shop, "tom@mail.example", "SO-9").warnings == ("order SO-9 does not exist",)


def test_own_provider_books_a_refund_once_for_its_key(
    tmp_path: Path, refunds: dict[str, Any]
) -> None:
    parts = {"shop": "own_shop:MyShop", "payments": "own_shop:MyPayments"}
    config = load(Config, data_dir=tmp_path, smtp_url="smtp://127.0.0.1:9", **parts)
    store = open_store(config)
    for _ in range(2):
        outbox = Outbox(store.engine, open_receivers(config), "worker-1")
        assert outbox.perform("c1:refund", "c1", "payments", PAYLOAD).status == "done"
    assert list(refunds.values()) == [{"order": "SO-00123", "amount": "20.01", "currency": "EUR"}]
    store.close()
