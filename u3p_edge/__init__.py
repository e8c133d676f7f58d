"""u3p_edge: UNet 3+ on small devices.

    images + masks ─ data ─► training ─► float model (tf_keras)
                                          │ graph.keras_io
                                          ▼
                    Graph ─ graph.inference ─► Graph                 one mask, the gate inside
                                          │ prune.budget             fewer channels, by measured milliseconds (latency)
                                          │ distill.loop             what went with them, learnt again from the float model
                                          │ graph.fold               no batch normalisation
                                          │ rewrite.engine           the same function in the forms that time best (latency)
                                          ▼
                              quantize (PTQ, else QAT) ─► Graph + Scheme     integers, read back from the file
                                          │ rewrite.tiling           full-size maps never whole
                                          ▼
                                       export ─► .tflite, .onnx
                                          │
                   runtime (tflite, onnxruntime, openvino)
                                          │
                                     benchmark ─► report (md, json) ─► gate (exit code)

One way down, no way back up. Every stage takes a value and returns a new one; every command reads and writes a run
folder. `pipeline` holds the order of stages on one screen.
"""

from __future__ import annotations

__version__ = "0.1.0"
