"""ONNX files: float by tf2onnx, int8 from the integers of a network."""
