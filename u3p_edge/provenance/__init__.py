"""What a stranger needs to trust the files of an export: the bill of materials and the model card."""
