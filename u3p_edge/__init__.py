"""u3p_edge: UNet 3+ on small devices.

    images + masks ─ data ─► training ─► float model (tf_keras)
                                          │ graph.keras_io
                                          ▼
                    Graph ─ graph.inference ─► Graph                 one mask, the gate inside
                                          │ shapes.apply             fewer levels or branches, where a recipe asks for it
                                          │ pruning.budget           fewer channels, by measured milliseconds (latency)
                                          │ distill.loop             what went with them, learnt again from the float model
                                          │ graph.fold               no batch normalisation
                                          │ rewriting.engine         the same function in the forms that time best (latency)
                                          ▼
                           quantization (PTQ, else QAT) ─► Quantized: Graph + Scheme, the network in integers
                                          │ rewriting.tiling         full-size maps never whole
                                          ▼
                                     conversion ─► .tflite, .onnx
                                          │
                   runtime (tflite, onnxruntime, openvino)
                                          │
                                     benchmark ─► report (md, json) ─► gate (exit code)

A script uses the names of `u3p_edge.api`, which are here too:

    import u3p_edge as u3p

    result = u3p.export("run", data="scans", out="exported", recipe="balanced")
    mask = u3p.open_session("exported/model.int8.tflite").predict("scan.png")

One way down, no way back up. Every stage takes a value and returns a new one; every command reads and writes a run
folder. `pipeline` holds the order of stages on one screen.
"""

from __future__ import annotations

import lazy_loader

from u3p_edge.errors import require_packages

__version__ = "0.1.0"

# The public names, with the module that each is imported from when it is first used, are in __init__.pyi: a device that only
# predicts then loads no TensorFlow (PEP 562), and type checkers see what there is.
_import_name, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    """Import a public name. Raises MissingPackageError, which names the extra, where its module needs a package of one."""
    with require_packages(f"u3p_edge.{name}"):
        return _import_name(name)
