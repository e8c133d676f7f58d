"""Files: of unknown origin, read into plain values and checked before anything trusts them; of our own, written whole.

atomic          files that are written whole or not at all
json_toml       JSON and TOML, bounded in length, depth and numbers
tflite/parse    a .tflite file as values, with every index checked
tflite/check    operators, shapes, types, scales and memory of those values
onnx_check      an .onnx file before ONNX Runtime reads it
"""
