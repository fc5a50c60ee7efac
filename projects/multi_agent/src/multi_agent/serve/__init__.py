"""The page, the API and the MCP server."""
