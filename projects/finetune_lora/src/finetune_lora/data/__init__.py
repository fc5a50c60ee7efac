"""From files to examples: reading, validating, cleaning, splitting, and the data card."""
