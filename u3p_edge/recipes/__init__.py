"""Options of an export, and the recipes that have names."""
