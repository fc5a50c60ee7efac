"""Facts, policy, and what is proven before the desk acts alone."""
