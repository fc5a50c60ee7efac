"""Effects on the outside world, each at most once: refunds and mails."""
