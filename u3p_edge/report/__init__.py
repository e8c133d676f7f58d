"""Reports of a run: Markdown, tables and plots."""
