"""Files of unknown origin: read into plain values and checked, before a library or a runtime trusts them.

json_toml       JSON and TOML, bounded in length, depth and numbers
tflite/parse    a .tflite file as values, with every index checked
tflite/check    operators, shapes, types, scales and memory of those values
onnx_check      an .onnx file before ONNX Runtime reads it
"""
