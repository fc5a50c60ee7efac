"""How well a model answers: metrics, baselines, fairness, forgetting, the report."""
