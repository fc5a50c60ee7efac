"""What is kept of a training: its folder, its record in MLflow, its progress bar."""
