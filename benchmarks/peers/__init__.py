"""Other toolkits beside this one: the same trained network and images through each, timed in one run."""
