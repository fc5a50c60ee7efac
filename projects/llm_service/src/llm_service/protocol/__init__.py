"""OpenAI's protocol: bodies into `Ask`, events into JSON and server-sent events."""
