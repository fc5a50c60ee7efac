"""Chat models behind an API: one class for every provider, its failures, and its prices."""
