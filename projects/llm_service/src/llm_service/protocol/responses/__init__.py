"""`/v1/responses`, OpenAI's Responses API with text and tools, translated into a chat."""
