"""ONNX files: float32 by tf2onnx, int8 from the integers of a TFLite file."""
