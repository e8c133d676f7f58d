"""The single steps of the Python API, from a float model to files and masks. Whole runs are in `pipeline`.

`u3p_edge/__init__.pyi` lists every public name: `import u3p_edge as u3p`. Each function here imports what it needs when it is
called, so that `open_session` and `gate` work on a device without TensorFlow.

The stages one by one; `export` does all of them, with pruning, verification and a report:

    import u3p_edge as u3p

    model = u3p.load("run")                                      # a run folder, a .keras, .h5 or .onnx file
    graph = u3p.rewrite(u3p.from_keras(model), target="tflite-int8")
    images = u3p.calibration_images("scans", model.metadata)     # float32 [N, H, W, C], preprocessed
    network = u3p.quantize(graph, calibration=images)
    u3p.write_tflite(network, "model.tflite", model.metadata)
    mask = u3p.open_session("model.tflite").predict("scan.png")  # uint8 [H, W] of the scan's own size
"""
