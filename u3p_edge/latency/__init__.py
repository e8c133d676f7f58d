"""Milliseconds of a Graph in a runtime: timed on this machine, remembered, and split by operator."""
