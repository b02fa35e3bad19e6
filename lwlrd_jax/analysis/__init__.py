"""What a table of results says: one rule, and intervals. Knows NumPy and pandas alone."""
