"""What a mail asks for: category, priority, order, amount, approval."""
