"""What inspects models and machines, beside the way from a model to its files."""
