"""Copy the skeleton of a paper under another name.

copy_template("my_paper", Path("papers"))
"""

from __future__ import annotations

import keyword
from pathlib import Path

from seedbed.errors import BadInput
from seedbed.files import disk_errors, new_folder


def copy_template(name: str, papers_dir: Path) -> Path:
    """Write the package `papers_dir`/`name` and return its folder.

    Raises BadInput if the name is not that of a Python package in lower case, or is in use.
    """
    from research_repro.papers import paper_names

    if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower():
        raise BadInput(
            f"{name!r} cannot be the name of a paper.",
            hint="Use lower-case letters, digits and underscores, e.g. my_paper.",
        )
    target = papers_dir / name
    if name in paper_names(papers_dir) or target.exists():
        raise BadInput(f"A paper {name!r} exists.", hint="Choose another name.")
    with disk_errors("The paper", target), new_folder(target) as folder:
        (folder / "published").mkdir()
        here = Path(__file__).parent
        for source in sorted([*here.glob("*.py"), *here.glob("published/*.json")]):
            if source != Path(__file__):
                text = source.read_text("utf-8").replace(
                    "research_repro.template", f"research_repro.papers.{name}"
                )
                text = text.replace('name="template"', f'name="{name}"')
                text = text.replace('"paper": "template"', f'"paper": "{name}"')
                text = text.replace("run template", f"run {name}")
                (folder / source.relative_to(here)).write_text(text, encoding="utf-8")
    return target
