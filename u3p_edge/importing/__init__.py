"""Models of other programs, read into a graph. Nothing in their files is run, and no TensorFlow is needed."""
