#!/bin/sh
# Starts a server in an image. A container's port may be published to a network. Without keys and
# without SEEDBED_OPEN=1 it generates a key and prints it, so that the server is never open by accident.
set -eu
if [ -z "${SEEDBED_API_KEYS:-}" ] && [ -z "${SEEDBED_OPEN:-}" ]; then
    key=$(python -c 'import secrets; print(secrets.token_urlsafe(18))')
    export SEEDBED_API_KEYS="owner=$key"
    echo "No key was given. This run's key: $key (set SEEDBED_API_KEYS=name=key to choose it)"
fi
exec "$@"
