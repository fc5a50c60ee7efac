"""Answers from real documentation: Git, PostgreSQL, Python, and two manuals of Debian as PDF.

    apt-get install git-doc postgresql-doc python3-doc debian-policy debian-reference-en
    python -m benchmarks.real_documents

Prints what `rag-chatbot eval` prints. The questions are in `real_documents.jsonl`. The weights of
`answer/quote` that are set by hand were set on them, so they show what is broken rather than
how good answers are elsewhere. Not part of `make bench`: it needs Debian's packages, and ingesting
takes minutes.
"""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DOC = Path("/usr/share/doc")
QUESTIONS = Path("benchmarks/real_documents.jsonl")
# Folder of the sources → where the packages have them.
FOLDERS = {
    "git": (DOC / "git/html", "*.html"),
    "git-txt": (DOC / "git-doc", "git*.txt"),
    "pg": (next(iter(sorted(DOC.glob("postgresql-doc-*/html"))), DOC / "postgresql-doc"), "*.html"),
    "py": (DOC / "python3.13-doc/html", "*/*.html"),
    "debian": (DOC / "debian-reference-common/docs", "*.en.pdf"),
}
EVERY = 4  # one in so many of the pages that no question is about


def main() -> None:
    """Collect the documents in a temporary folder, and evaluate."""
    questions = [json.loads(line) for line in QUESTIONS.read_text("utf-8").splitlines()]
    needed = {source for question in questions for source in question["source"]}
    with tempfile.TemporaryDirectory() as folder:
        for name, (place, pattern) in FOLDERS.items():
            for number, path in enumerate(sorted(place.glob(pattern))):
                source = f"{name}/{path.relative_to(place)}"
                if source in needed or number % EVERY == 0:
                    target = Path(folder, source)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, target)
        policy = Path(folder, "debian/policy.pdf")
        if (packed := DOC / "debian-policy/policy.pdf.gz").exists():
            policy.parent.mkdir(exist_ok=True)
            policy.write_bytes(gzip.decompress(packed.read_bytes()))
        missing = sorted(source for source in needed if not Path(folder, source).exists())
        if missing:
            sys.exit(f"Not installed: {', '.join(missing[:5])}. Run the command in this file.")
        command = [Path(sys.executable).with_name("rag-chatbot"), "eval"]
        subprocess.run([*command, "--qa", QUESTIONS, "--docs", folder], check=True)


if __name__ == "__main__":
    main()
