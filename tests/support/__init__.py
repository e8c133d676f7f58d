"""Builders that tests share: small networks, files, folders, and the program as a user starts it."""
