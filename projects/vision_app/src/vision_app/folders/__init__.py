"""Many files: finds them, and maps a task over them on one machine or on a Ray cluster."""
