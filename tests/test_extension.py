"""What a newcomer adds goes to one place: an op, a rewrite and a measure of importance, each one new file and one line.

A copy of the package gets the three files and the three lines of tables; a script then uses all three in every room.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "u3p_edge"

OP = '''
"""The absolute value."""

import numpy as np

from u3p_edge.graph.ops.op import Layer, Op, same_shape

OPS = (
    Op("absolute", same_shape, lambda attrs, weights, x: np.abs(x[0]), layers=(Layer("Absolute", function="math.abs"),),
       tflite="ABS", onnx="Abs", channelwise=True, pixelwise=True, keeps_zero=True),
)
'''

RULE = '''
"""|x| = max(x, -x), for a runtime that has no kernel for the absolute value."""

from u3p_edge.graph.ir import Node
from u3p_edge.rewriting.rule import Match
from u3p_edge.rewriting.rules.pieces import replace_nodes


class LargerOfBoth:
    name = "larger of both"
    exact = True

    def match(self, graph, name):
        return Match(name, (name,)) if graph[name].op == "absolute" else None

    def rewrite(self, graph, match):
        (source,) = graph[match.node].inputs
        new = [
            Node("zero", "subtract", (source, source)),
            Node("negative", "subtract", ("zero", source)),
            Node(match.node, "maximum", (source, "negative")),
        ]
        return replace_nodes(graph, match.nodes, new)


RULES = (LargerOfBoth(),)
'''

MEASURE = '''
"""The number of an element: the last ones matter most."""

import numpy as np

from u3p_edge.pruning.importance.scores import each_group


def score_elements(evidence):
    return each_group(evidence.graph, lambda group: np.arange(group.size, dtype=float))
'''

LINES = {
    "graph/ops/__init__.py": ('    "identities",\n', '    "absolute",\n'),
    "rewriting/passes.py": ('    "separable",\n', '    "larger_of_both",\n'),
    "pruning/importance/__init__.py": ('    "taylor",\n', '    "position",\n'),
}
"""By table: the line after which one is added, and the line that is added."""

SCRIPT = """
from types import SimpleNamespace

import numpy as np
import onnx
from ai_edge_litert.interpreter import Interpreter
from onnxruntime import InferenceSession

from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.conversion.onnx.writer import write_onnx
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.graph.memory import plan_memory
from u3p_edge.graph.reference import run
from u3p_edge.pruning.apply import apply_plan
from u3p_edge.pruning.dependency import find_groups
from u3p_edge.pruning.importance import MEASURES, score_groups
from u3p_edge.pruning.plan import PruningPlan
from u3p_edge.recipes.recipe import Pruning
from u3p_edge.rewriting.engine import apply_selections, select_candidates
from u3p_edge.rewriting.tiling.transform import TiledGraph, tile_node

draw = np.random.default_rng(0)


def kernel(*shape):
    return {"kernel": draw.normal(size=shape).astype(np.float32)}


nodes = (
    Node("x", "input", (), {"shape": (None, 16, 16, 2)}),
    Node("a", "conv", ("x",), {"padding": "same"}, kernel(3, 3, 2, 4)),
    Node("y", "absolute", ("a",)),
    Node("z", "conv", ("y",), {"padding": "same"}, kernel(3, 3, 4, 1)),
)
graph = Graph(nodes, ("x",), ("z",))
image = draw.normal(size=(1, 16, 16, 2)).astype(np.float32)
values = run(graph, {"x": image}, ("a", "y", "z"))
np.testing.assert_array_equal(values["y"], np.abs(values["a"]))
assert graph.shapes["y"] == (1, 16, 16, 4)
assert cost(graph).macs.get("y") is None and plan_memory(graph).peak > 0


def close(found):  # sums of 36 products of a few units, in another order
    np.testing.assert_allclose(found, values["z"], rtol=0, atol=36 * 20 * np.finfo(np.float32).eps)


model = to_keras(graph)
close(model(image).numpy())
assert from_keras(model)["y"].op == "absolute"

interpreter = Interpreter(model_content=write_tflite(graph))
interpreter.allocate_tensors()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
interpreter.invoke()
close(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))

written = onnx.load_from_string(write_onnx(graph, default_metadata(Preprocessing(16, 16, 1, "resize", "percentile"), 2)))
assert "Abs" in [node.op_type for node in written.graph.node]
session = InferenceSession(written.SerializeToString())
close(session.run(None, {session.get_inputs()[0].name: image})[0])

(group,) = (group for group in find_groups(graph) if not group.frozen)
assert "y" in group.tensors, "its channels are those of the convolution before it"
assert isinstance(tile_node(graph, "z", 2), TiledGraph)

assert "position" in MEASURES
assert Pruning(speedup=2, importance="position").importance == "position"
scores = score_groups("position", SimpleNamespace(graph=graph))
assert scores[group.name].tolist() == [0, 1, 2, 3]
pruned = apply_plan(graph, PruningPlan({group.name: np.argsort(scores[group.name])[2:].tolist()}))
assert pruned.shapes["y"] == (1, 16, 16, 2)

(choice,) = (each for each in select_candidates(graph, lambda graphs: [float(len(graphs) - i) for i in range(len(graphs))])
             if each.site == "y")
assert choice.chosen == "larger of both"
rewritten = apply_selections(graph, [choice])
assert "absolute" not in [node.op for node in rewritten.nodes]
close(run(rewritten, {"x": image})["z"])
print("used in every room")
"""


def test_an_op_a_rewrite_and_a_measure_are_each_one_file_and_one_line(tmp_path: Path) -> None:
    copy = tmp_path / "u3p_edge"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "graph/ops/absolute.py").write_text(OP, "utf-8")
    (copy / "rewriting/rules/larger_of_both.py").write_text(RULE, "utf-8")
    (copy / "pruning/importance/position.py").write_text(MEASURE, "utf-8")
    for table, (line, added) in LINES.items():
        text = (copy / table).read_text("utf-8")
        assert text.count(line) == 1
        (copy / table).write_text(text.replace(line, line + added), "utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run([sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "used in every room"
