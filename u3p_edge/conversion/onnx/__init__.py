"""ONNX files: float32 from a graph, int8 from a network in integers."""
