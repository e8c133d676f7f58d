from __future__ import annotations

import onnx

from tests.support.small_artifacts import Zoo
from u3p_edge.runtime.onnx_fusion import count_optimized_operators


def test_convolutions_run_on_integers_only_where_the_file_has_them(zoo: Zoo) -> None:
    # The network has three convolutions.
    integers, floats = (count_optimized_operators(zoo.path(f"{kind}.onnx")) for kind in ("int8", "float32"))
    assert (integers["QLinearConv"], integers["Conv"], integers["FusedConv"]) == (3, 0, 0)
    assert floats["QLinearConv"] == 0
    assert floats["Conv"] + floats["FusedConv"] == 3


def test_it_counts_what_runs_not_what_the_file_holds(zoo: Zoo) -> None:
    stored = {node.op_type for node in onnx.load(zoo.path("int8.onnx")).graph.node}
    assert "Conv" in stored
    assert "QLinearConv" not in stored
