"""TFLite files: their schema, this package's writer and reader, and TensorFlow's converter."""
