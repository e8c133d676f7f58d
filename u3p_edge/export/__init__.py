"""A model as TFLite and ONNX files."""
