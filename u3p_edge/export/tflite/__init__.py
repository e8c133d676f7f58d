"""TFLite files: their schema, our writer and reader, and TensorFlow's converter."""
