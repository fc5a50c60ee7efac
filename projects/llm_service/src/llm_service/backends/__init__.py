"""What answers: models in processes of ours, and upstreams behind an API."""
