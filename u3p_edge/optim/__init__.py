"""What every training shares: Adam, the learning rate, and the one loop over epochs."""
