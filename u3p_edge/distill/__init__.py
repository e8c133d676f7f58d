"""Training a smaller network from a larger one."""
