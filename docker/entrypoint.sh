#!/bin/sh
# Starts a server in an image. A container's port may be published to a network, so without keys,
# sign-in and SEEDBED_OPEN=1 it generates a key. A terminal shows it; elsewhere, where output is collected
# as a log, it is only in a file.
set -eu
if [ -z "${SEEDBED_API_KEYS:-}${SEEDBED_OIDC_ISSUER:-}${SEEDBED_OPEN:-}" ]; then
    key=$(python -c 'import secrets; print(secrets.token_urlsafe(18))')
    export SEEDBED_API_KEYS="owner=$key"
    if [ -t 1 ]; then
        echo "No key was given. This run's key: $key (set SEEDBED_API_KEYS=name=key to choose it)"
    else
        (umask 077 && printf '%s\n' "$key" > /tmp/api-key)
        echo "No key was given. Read this run's key with: docker exec CONTAINER cat /tmp/api-key" \
            "(set SEEDBED_API_KEYS=name=key to choose it)"
    fi
fi
exec "$@"
