"""Runs inside the sandbox, before the program and then the program itself.

    python -c "$(cat bootstrap.py)" < request.json

It is not imported: Python in WebAssembly, or in bubblewrap, gets it as text.
"""

import json
import sys


def run(code: str, data: object) -> None:
    """Run a program in a module of its own; the value of its last line is printed."""
    import ast

    names = {"__name__": "__main__", "data": data}
    lines = ast.parse(code, "program.py")
    last = lines.body[-1:] if lines.body and isinstance(lines.body[-1], ast.Expr) else []
    lines.body = lines.body[: len(lines.body) - len(last)]
    exec(compile(lines, "program.py", "exec", dont_inherit=True), names)
    exec(compile(ast.Interactive(last), "program.py", "single", dont_inherit=True), names)


def report(error: BaseException, code: str) -> None:
    """Print the traceback of the program, without the lines of this file."""
    import linecache
    import traceback

    linecache.cache["program.py"] = (len(code), None, code.splitlines(True), "program.py")
    here = error.__traceback__
    while here and here.tb_frame.f_code.co_filename != "program.py":
        here = here.tb_next
    traceback.print_exception(type(error), error, here)


def main() -> None:
    """Read the request, lock the process if the sandbox needs it, and run the program."""
    request = json.loads(sys.stdin.buffer.read())
    for lock in request.get("locks", []):
        exec(lock, {"memory_mb": request["memory_mb"]})
    try:
        run(request["code"], request["data"])
    except MemoryError as error:  # too little of it is left for a traceback
        sys.exit(f"MemoryError: {error}")
    except Exception as error:
        report(error, request["code"])
        sys.exit(1)


main()
