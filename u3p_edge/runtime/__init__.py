"""Exported files, loaded and run: float image in, float map out."""
