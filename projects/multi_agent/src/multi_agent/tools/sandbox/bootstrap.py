"""Runs inside the sandbox: executes the program on stdin, a JSON string.

python -c "$(cat bootstrap.py)" < program.json
"""

import ast
import json
import sys


def run(code: str) -> None:
    """Run a program as a module of its own; as in a notebook, its last value is printed."""
    tree, names = ast.parse(code, "program.py"), {"__name__": "__main__"}
    last = [tree.body.pop()] if tree.body and isinstance(tree.body[-1], ast.Expr) else []
    exec(compile(tree, "program.py", "exec", dont_inherit=True), names)
    exec(compile(ast.Interactive(last), "program.py", "single", dont_inherit=True), names)


if __name__ == "__main__":
    try:
        run(json.loads(sys.stdin.buffer.read()))
    except MemoryError as error:  # too little is left for a traceback
        sys.exit(f"MemoryError: {error}")
