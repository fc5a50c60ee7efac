"""Shows or merges what has changed in the repository since a project was copied out of it.

    python -m tools.starter_update ../my-bot            shows it
    python -m tools.starter_update ../my-bot --apply    merges it into the copy, without a commit

`make update FROM=…` in the copy calls it, in a clone of the repository, at its root. In the copy,
`.seedbed.json` records from which commit and with which options it was made. The project is copied
again from that commit and from this one; git merges the difference into the copy, three-way: your
changes stay, conflicts are marked, and files that you have deleted stay deleted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.starter import RECORD, git
from seedbed.errors import BadInput, NotFound, SeedbedError


def update(copy: Path, *, root: Path, apply: bool = False) -> str:
    """Compare `copy` with the repository at `root`; returns what changed, for people.

    With `apply` the changes are merged. Raises BadInput or NotFound, whose hint is the next step.
    """
    # 1. How was the copy made?
    try:
        record = json.loads((copy / RECORD).read_text("utf-8"))
    except OSError:
        hint = "Start a new copy beside it with make new-X, and compare."
        raise NotFound(f"{copy} has no {RECORD}.", hint=hint) from None
    commit = record["commit"] or "(unknown)"
    if not git(root, "rev-parse", "--quiet", "--verify", f"{commit}^{{commit}}"):
        hint = "Name the repository that it was copied from with FROM=."
        raise NotFound(f"The copy's commit {commit} is not in {root}.", hint=hint)
    if not git(copy, "rev-parse", "--quiet", "--verify", "HEAD"):
        raise BadInput(f"{copy} has no commit.", hint="Run: git init && git add -A && git commit")
    if apply and git(copy, "status", "--porcelain"):
        raise BadInput(f"{copy} has changes without a commit.", hint="Commit or stash them first.")

    # 2. Copy the project as it was and as it is, into the copy's objects.
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder, "then")
        git(root, "worktree", "add", "--quiet", "--detach", str(old), commit)
        before = _copy(old, record, copy, Path(folder, "a"))
        after = _copy(root, record, copy, Path(folder, "b"))
        git(root, "worktree", "remove", "--force", str(old))

    # 3. Show or merge the difference.
    tree, message = f"{after}^{{tree}}", f"Seedbed at {git(root, 'rev-parse', '--short', 'HEAD')}"
    names = set(git(copy, "diff", "--name-only", before, after).splitlines()) - {RECORD}
    if not names:
        return "Nothing has changed in what this copy contains."
    yours = names & set(git(copy, "diff", "--name-only", before, "HEAD").splitlines())
    summary = git(copy, "diff", "--stat", before, after, "--", ".", f":!{RECORD}")
    if yours:
        summary += f"\nYou have changed {len(yours)} of these too: {', '.join(sorted(yours))}"
    if not apply:
        return f"{summary}\nRead it: git diff {before[:12]} {after[:12]}\nMerge it: add APPLY=1"
    theirs = git(copy, *_AUTHOR, "commit-tree", tree, "-p", before, "-m", message)
    git(copy, *_AUTHOR, "cherry-pick", "--no-commit", theirs)
    state = git(copy, "status", "--porcelain").splitlines()
    if deleted := [line[3:] for line in state if line.startswith("DU")]:
        git(copy, "rm", "--quiet", "--", *deleted)
    conflicts = git(copy, "diff", "--name-only", "--diff-filter=U").splitlines()
    if conflicts:
        return f"{summary}\nMerged, with conflicts to solve in: {', '.join(conflicts)}"
    return f"{summary}\nMerged. Run make setup && make test, then git commit."


_AUTHOR = ("-c", "user.name=seedbed", "-c", "user.email=seedbed@localhost")


def _copy(root: Path, record: dict[str, str], copy: Path, folder: Path) -> str:
    """Copy the project of `root` with the options of `record`; returns its commit in `copy`."""
    place = folder / str(record["name"])
    command = [sys.executable, "-m", "tools.starter", record["project"], str(place)]
    command += record["options"]
    env = {**os.environ, "PYTHONPATH": str(root / "shared/src")}
    run = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
    if run.returncode:
        raise BadInput(f"Copying {record['project']} again failed: {run.stderr.strip()}")
    git(copy, "fetch", "--quiet", str(place), "HEAD")
    commit = git(place, "rev-parse", "HEAD")
    if not git(copy, "cat-file", "-t", commit):
        raise BadInput(f"git could not fetch the new copy {place} into {copy}.")
    return commit


def main(words: list[str]) -> int:
    """The command line; returns 2 if there is nothing to compare with."""
    try:
        print(update(Path(words[0]).resolve(), root=Path.cwd(), apply="--apply" in words))
    except SeedbedError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
