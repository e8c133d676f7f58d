"""Tools that inspect models and machines; none of them is a stage of the export."""
