"""Weights that PyTorch saved, read as named arrays without PyTorch.

zip archive ─ pickle of names and shapes, read as data ─► where each tensor lies ─ storages ─► arrays by name
"""
