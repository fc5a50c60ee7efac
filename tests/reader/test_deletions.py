"""What a README calls deletable: the command and the server start without it, and the rest of the
tests is collected, which imports what they use; running them would take half an hour.

A path goes with its tests and the lines that name it, at first alone, then with the others of its
project. A paper is deleted by tests/papers/test_deletable.py of research_repro.
"""

from typing import Any

import pytest

VERB = r"perl -0pi -e 's/\@app\.command\([^\n]*\)\ndef {}\(.*?\n\n\n//s' src/*/__main__.py"
# Project → a path below its package → what its README says goes with it.
DELETABLE: dict[str, dict[str, str]] = {
    "agentic_workflow": {
        "triage/by_model": "rm -r tests/triage/by_model",
        "triage/offline": "rm -r tests/triage/offline",
        "serve/page*": "sed -i '/import page$/d; /page.router/d' src/*/serve/api.py",
        "sample": f"rm -r tests/sample; {VERB.format('demo')}; sed -i '/import sample_shop/d; s/"
        "with sample_shop(config) as config:/if True:/; s/sample_.*config, //' src/*/__main__.py",
    },
    "finetune_lora": {
        "page": f"rm tests/test_page*.py tests/test_contract.py; {VERB.format('serve')}"
    },
    "llm_service": {
        "protocol/responses": "rm -r tests/protocol/responses;"
        " sed -i '/response_answer/d; /ResponsesRequest/d' src/*/web/openai_api.py",
        "protocol/messages": "rm -r tests/protocol/messages; sed -i '/message_answer/d;"
        " /MessagesRequest/d; /messages.count_tokens/,/^$/d' src/*/web/openai_api.py",
        "models/remote/langchain.py": "rm tests/test_langchain.py;"
        " sed -i '/LangChain/d' src/*/models/pool.py",
        "on_ray": "rm -r tests/on_ray; sed -i '/on_ray/d' src/*/__main__.py",
    },
    "multi_agent": {
        "offline": "rm -r tests/offline",
        "evaluate": f"rm -r tests/evaluate; {VERB.format('demo')}; {VERB.format('evaluate')}",
        "sample": "rm -r tests/sample",
    },
    "rag_chatbot": {"answer/quote": "rm -r tests/answer/quote"},
    "vision_app": {
        "extract/rules": "rm -r tests/extract/rules",
        "evaluate.py": f"rm tests/test_evaluate.py; {VERB.format('evaluate')}",
        "demo.py": VERB.format("demo"),
    },
}
# Of a reader, whose shop is not the sample; nothing asks the model.
SETTINGS = """export OPENAI_API_KEY=any SEEDBED_MODEL=openai:gpt-4o-mini AGENTS_DATABASE=my.sqlite
export WORKFLOW_SHOP=own_shop:MyShop WORKFLOW_PAYMENTS=own_shop:MyPayments
export WORKFLOW_SMTP_URL=smtp://127.0.0.1:9 WORKFLOW_WORKERS=0"""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("project", DELETABLE)
def test_project_works_without(project: str, reader: Any) -> None:
    folder, command = f"projects/{project}", project.replace("_", "-")
    path_of = f"$PWD/{folder}"
    setup = f'export PYTHONPATH="{path_of}/src:{path_of}/examples" PATH=.venv/bin:$PATH\n'
    deletions = {
        path: f"cd {folder}; rm -r src/{project}/{path}; {edit}"
        for path, edit in DELETABLE[project].items()
    }
    for path, deletion in deletions.items():
        assert f"`{path}" in (reader.folder / folder / "README.md").read_text("utf-8")
        reader.run(deletion)
        module = f"{project}.{path}".replace("/", ".").removesuffix(".py").rstrip("*")
        parent, _, name = module.rpartition(".")
        uses = rf"^(from|import) {module}\b|^from {parent} import .*\b{name}\b"
        reader.run(f"git grep -nE '{uses}' {folder}/src {folder}/tests", status=1)
        reader.run(f"{setup}{command} --help")
        reader.empty()
    deletions.pop("triage/by_model", None)  # which may go instead of triage/offline
    for deletion in deletions.values():
        reader.run(deletion)
    if project != "finetune_lora":  # whose server is its page
        reader.start(f"{setup}{SETTINGS}\n{command} serve")
    reader.run(f"{setup}pytest -n 0 -q --co -p no:cacheprovider {folder}/tests")
