"""What starts beside real parts."""

import pytest

from agentic_workflow.config import Config
from agentic_workflow.sample.start import sample_parts
from seedbed.errors import ConfigError
from seedbed.settings import load


def test_sample_parts_beside_real_ones_are_refused_unless_asked_for() -> None:
    assert len(sample_parts(load(Config))) == 3
    real = {"smtp_url": "smtp://mx.example", "shop": "sqlite:///shop.sqlite"}
    with pytest.raises(ConfigError, match="Not configured: WORKFLOW_PAYMENTS"):
        sample_parts(load(Config, **real))
    assert sample_parts(load(Config, **real, sample=True)) == ["WORKFLOW_PAYMENTS"]
    assert sample_parts(load(Config, **real, payments="https://pay.example")) == []


def test_real_mails_are_not_answered_by_the_sample_shop() -> None:
    with pytest.raises(ConfigError, match="Not configured: WORKFLOW_SHOP"):
        sample_parts(load(Config, imap_url="imaps://help:secret@mx.example"))
