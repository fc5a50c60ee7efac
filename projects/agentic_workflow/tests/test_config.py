"""Sample parts beside real ones."""

import pytest

from agentic_workflow.config import Config
from seedbed.errors import ConfigError
from seedbed.settings import load


def test_sample_parts_beside_real_ones_are_refused_unless_asked_for() -> None:
    assert len(load(Config).sample_parts()) == 3
    real = {"smtp_url": "smtp://mx.example", "shop_url": "sqlite:///shop.sqlite"}
    with pytest.raises(ConfigError, match="Not configured: WORKFLOW_PAYMENT_URL"):
        load(Config, **real).sample_parts()
    assert load(Config, **real, sample=True).sample_parts() == ["WORKFLOW_PAYMENT_URL"]
    assert load(Config, **real, payment_url="https://pay.example").sample_parts() == []
