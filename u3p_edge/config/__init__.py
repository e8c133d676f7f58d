"""Values that every stage shares: frozen dataclasses, the ranges of their values, and reading them from JSON and TOML."""
