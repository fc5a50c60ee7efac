"""DBOS: queues, workers, recovery, schedules."""
