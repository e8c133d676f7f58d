"""What `tests/fuzz` damages, how, and the process that reads it."""
