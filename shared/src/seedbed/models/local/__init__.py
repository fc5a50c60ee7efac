"""The chat model that runs in this process: prompt, grammar of the answer, tool calls."""
