"""Whether a process still runs."""

import json
import subprocess
import sys
from pathlib import Path

from finetune_lora.runs.process import is_alive, process_identity

IDENTITY = """
import json, sys
from finetune_lora.runs.process import process_identity
print(json.dumps(process_identity()), flush=True)
sys.stdin.read()
"""


def test_is_alive_until_the_process_is_killed() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", IDENTITY], stdin=pipe, stdout=pipe) as process:
        assert process.stdout
        record = json.loads(process.stdout.readline())
        assert record["pid"] == process.pid and is_alive(record, Path())
        process.kill()
    assert not is_alive(record, Path())


def test_is_alive_rejects_another_process_with_the_same_id() -> None:
    record = process_identity()
    assert not is_alive(record | {"pid_started": record["pid_started"] - 60}, Path())
