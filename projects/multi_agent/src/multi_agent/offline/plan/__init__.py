"""Plans by rules and bids."""
