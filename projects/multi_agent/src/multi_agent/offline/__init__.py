"""The brain without a model: templates of questions. What no template accounts for is refused."""
