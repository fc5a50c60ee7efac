"""`/v1/messages`, Anthropic's Messages API with text, images and tools, as a chat."""
