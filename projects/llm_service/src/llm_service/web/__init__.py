"""The HTTP interface: OpenAI's and the operators' routes, the page."""
