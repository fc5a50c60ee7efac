"""The interfaces of the chatbot: HTTP API, web page, terminal output and MCP server."""
