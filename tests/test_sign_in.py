"""A person signs in on the page of every project, as its user starts it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from seedbed.testing.launch import free_port, launch_chromium, run_server
from seedbed.testing.provider import FakeProvider, launch_provider

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(300)]

# The prefix of its settings, and what a person sees; in llm_service only operators do.
PAGES = {
    "agentic_workflow": ("WORKFLOW", "Nothing waits for you"),
    "finetune_lora": ("FINETUNE", "Fine-tuning runs"),
    "llm_service": ("SERVICE", "Spending this month"),
    "multi_agent": ("AGENTS", "Ask the team"),
    "rag_chatbot": ("RAG", "Ask your documents"),
    "vision_app": ("VISION", "Understand images"),
}


@contextmanager
def started(project: str, folder: Path, provider: FakeProvider) -> Iterator[str]:
    """The address of the project's server in an empty folder."""
    port = free_port()
    environment = {
        **provider.environment,
        "SEEDBED_OIDC_OPERATORS": "group:admins",
        f"{PAGES[project][0]}_DATA_DIR": str(folder),
    }
    command = [sys.executable, "-m", project, "serve", "--port", str(port)]
    with run_server(command, port, timeout=200, env=environment):
        yield f"http://localhost:{port}"


@pytest.mark.parametrize("project", PAGES)
def test_person_signs_in_on_the_page(project: str, tmp_path: Path) -> None:
    with (
        launch_provider({"alice": ["admins"]}) as provider,
        started(project, tmp_path, provider) as url,
        launch_chromium() as browser,
    ):
        page: Any = browser.new_page()
        page.set_default_timeout(60_000)
        page.goto(url)
        provider.sign_in(page, "alice")
        page.get_by_text(PAGES[project][1]).first.wait_for()
        page.get_by_text("alice@example.org").first.wait_for()
        page.get_by_role("link", name="Sign out").click()
        page.wait_for_url(f"{provider.url}/**")
        assert not page.context.cookies(url)
