"""Scripts that measure this package; each is a module, `python -m benchmarks.NAME`, and a script."""
