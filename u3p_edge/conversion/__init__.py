"""Export of a model to TFLite and ONNX files."""
