"""Float ONNX files of convolutional networks, read into a graph.

    bytes ─ checks ─► operators and constants ─ the graph's layout ─► nodes ─ scales into kernels ─► Graph

Shapes are known while reading, so that what a file computes from them is a constant, as it is for its fixed input.
"""
