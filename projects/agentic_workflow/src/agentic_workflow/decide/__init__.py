"""Facts, policy, the decision and the draft of a reply."""
