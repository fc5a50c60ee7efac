"""A passage with every kind of quotable unit."""

import pytest

PASSAGE = """## Retries

A request is retried 3 times, e.g. after a timeout. It is not repeated after that.

- `retries`: how often, 3 by default
- `backoff`: the first wait

| option | default |
|---|---|
| jitter | 0.1 |

Set it like this:

```
client.retry(5)
```
"""


@pytest.fixture
def passage() -> str:
    return PASSAGE
