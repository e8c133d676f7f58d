"""Images of scanners and of other programs' data sets: volumes, their labels, and how they become a data folder."""
