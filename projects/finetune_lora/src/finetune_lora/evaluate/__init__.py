"""How well a model answers: metrics, baselines, forgetting, the report."""
