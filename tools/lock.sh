#!/usr/bin/env bash
# Writes exact versions to constraints.txt, from PyPI alone; an argument such as --upgrade goes to uv.
#
#     bash tools/lock.sh [--upgrade]        after `make setup`
#
# torch and what only its builds require are left out, as its build depends on the machine.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$(command -v uv || echo .venv/bin/uv)
new=$(mktemp) && trap 'rm -f "$new"' EXIT
cp constraints.txt "$new"
printf -- '-e ./shared\n' | "$uv" pip compile -q --universal --python-version 3.11 "$@" \
    --all-extras --group dev --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
    --no-emit-package seedbed -o "$new" - shared/pyproject.toml projects/*/pyproject.toml
torch='torch|torchvision|torchaudio|triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+|-e .*'
{
    echo '# Generated: exact versions for every platform. Torch is left to the machine.'
    sed -E "/^($torch)(==| |\$)/d" "$new"
} > constraints.txt
