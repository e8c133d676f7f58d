"""Are the int8 files made of the network in integers? They are written again and compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from u3p_edge import __version__
from u3p_edge.config.metadata import Metadata
from u3p_edge.conversion.network_file import read_network
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.errors import U3pEdgeError
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.scheme import Quantized
from u3p_edge.pipeline.publish import NETWORK_FILE
from u3p_edge.recipes.recipe import ExportRecipe
from u3p_edge.tools.verification.check import RunCheck, conclude, leave_out
from u3p_edge.tools.verification.opened import Opened

NAME = "integers"
TFLITE, ONNX = "model.int8.tflite", "model.int8.onnx"


def check_integers(opened: Opened, recipe: ExportRecipe) -> RunCheck:
    """Check that the int8 files are exactly what this program writes of the network in integers.

    Args:
        opened: the files.
        recipe: of the export.
    """
    wanted = [one for one in (TFLITE, ONNX) if one in opened.sessions]
    path = opened.run / NETWORK_FILE
    if not wanted or not path.is_file():
        return leave_out(NAME, "there is no int8 file with its network in integers")
    metadata = replace(opened.metadata, output=recipe.output)
    if metadata.version != __version__:
        return leave_out(NAME, f"the files were written by version {metadata.version}, and this is version {__version__}")
    try:
        network = read_network(path.read_bytes())
        same = {one: _is_same(opened.run / one, network, metadata, recipe) for one in wanted}
    except U3pEdgeError as error:
        return conclude(NAME, [f"{NETWORK_FILE}: {error.symptom}"], "")
    faults = [f"{one} is not what {NETWORK_FILE} gives" for one, is_same in same.items() if is_same is False]
    compared = [one for one, is_same in same.items() if is_same is not None]
    left = "" if len(compared) == len(same) else f"; left out: {ONNX}, since onnx is not installed"
    return conclude(NAME, faults, f"{' and '.join(compared)}: exactly what {NETWORK_FILE} gives{left}")


def _is_same(path: Path, network: Graph | Quantized, metadata: Metadata, recipe: ExportRecipe) -> bool | None:
    """Return whether a file is what its writer gives; None where the writer's package is not installed."""
    float_io = recipe.quantization.float_io
    if path.name == TFLITE:
        return write_tflite(network, metadata, float_io=float_io, layouts=not recipe.keeps_original) == path.read_bytes()
    try:
        import onnx

        from u3p_edge.conversion.onnx.writer import write_onnx
    except ModuleNotFoundError:
        return None
    # As messages and not as bytes: versions of protobuf may write the same message in other ways.
    return bool(onnx.load_model_from_string(write_onnx(network, metadata, float_io=float_io)) == onnx.load(path))
