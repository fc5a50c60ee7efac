"""The team and its runs, and the queue that hands steps to worker processes."""
