"""Files of strangers: read into plain values and checked, before a library or a runtime believes them.

text            JSON and TOML, bounded in length, depth and numbers
tflite          a .tflite file as values, every index inside it
tflite_check    operators, shapes, types, scales and memory of those values
onnx_check      an .onnx file before ONNX Runtime reads it
"""
