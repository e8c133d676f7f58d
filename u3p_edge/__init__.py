"""u3p_edge: UNet 3+ on small devices.

    images + masks ─ data ─► training ─► float model (tf_keras)
                                          │ graph.keras_io
                                          ▼
                             Graph ─ graph.inference ─► Graph      one mask, no supervision heads, the gate inside
                                          │ graph.keras_io
                                          ▼
                            quantize (PTQ, else QAT) ─► export ─► .tflite, .onnx
                                                                   │
                                 runtime (tflite, onnxruntime) ◄───┘
                                          │
                                     benchmark ─► report (md, json) ─► gate (exit code)

One way down, no way back up. Every stage takes a value and returns a new one; every command reads and writes a run
folder. `pipeline` holds the order of stages on one screen.
"""

from __future__ import annotations

__version__ = "0.1.0"
