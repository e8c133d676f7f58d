"""Models of other programs, read into a graph or named arrays. Nothing in their files is run, and no TensorFlow is needed."""
