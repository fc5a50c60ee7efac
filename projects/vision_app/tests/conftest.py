"""Hooks for the tests of vision_app."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """Free the memory of the image model after the last test; it is opened again on use."""
    if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
        from vision_app.classify.model import image_model

        image_model._efficientnet.cache_clear()
