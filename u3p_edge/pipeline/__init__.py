"""The order of stages. `export` is the main one: a float UNet 3+ to verified int8 files and a report."""
