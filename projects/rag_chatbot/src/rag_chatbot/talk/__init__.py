"""The ways to talk to the chatbot: HTTP API, web page, terminal, MCP."""
