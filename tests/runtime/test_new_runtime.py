"""A new runtime is one new file and one line of the table: everything else finds it there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

import u3p_edge
from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.runtime.registry import RUNTIMES

TOY = '''
"""A file is the metadata alone, and the network gives its image back as the probability of the one foreground class."""

from dataclasses import dataclass

from u3p_edge.config.metadata import Metadata
from u3p_edge.runtime.base import decode, encode


@dataclass(frozen=True)
class ToySession:
    name: str
    format: str
    metadata: Metadata
    threads: int
    input_shape: tuple[int, int, int]

    def prepare(self, image):
        encode(image, self.input_shape, None, self.name)
        return lambda: None

    def run(self, image):
        return decode(encode(image, self.input_shape, None, self.name), None)


def open_file(path, threads=1, max_memory_mb=None):
    metadata = Metadata.from_json(path.read_text())
    p = metadata.preprocessing
    return ToySession(path.name, "toy-float32", metadata, threads, (p.height, p.width, p.channels))
'''
LINE = '        "toy": Runtime("Toy", ".toy", "u3p_edge.runtime.toy", ("json",), "toy"),\n'
USE = """
import json, sys
from pathlib import Path
import numpy as np
from u3p_edge.benchmark.suite import Settings, measure
from u3p_edge.report.markdown import render
from u3p_edge.runtime import open_session
from u3p_edge.runtime.registry import RUNTIMES
from u3p_edge.runtime.segment import predict_image
path = Path(sys.argv[1])
scan = np.repeat(np.array([[0, 255]], np.uint8), 8, axis=1).repeat(16, axis=0)
result = measure([path], settings=Settings(rounds=5, memory_repeats=1)).result
print(json.dumps({
    "labels": predict_image(open_session(path, 2), scan).tolist(),
    "format": result.artifacts[0].format,
    "peak": result.artifacts[0].memory is None or result.artifacts[0].memory.peak_mb[0] > 0,
    "named": "model.toy" in render(result),
    "missing": str(RUNTIMES["toy"].missing(path.name)),
}))
"""


def test_a_runtime_is_one_new_file_and_one_line(tmp_path: Path) -> None:
    package = tmp_path / "u3p_edge"
    shutil.copytree(Path(u3p_edge.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    (package / "runtime" / "toy.py").write_text(TOY)
    table = package / "runtime" / "registry.py"
    before, mark, after = table.read_text().partition('        "openvino": Runtime(')
    assert mark
    table.write_text(before + LINE + mark + after)

    metadata = default_metadata(Preprocessing(16, 16, normalization="range"), labels=2)
    (tmp_path / "model.toy").write_text(metadata.to_json())
    done = subprocess.run(
        [sys.executable, "-c", USE, str(tmp_path / "model.toy")],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "labels": np.repeat([[0, 1]], 8, axis=1).repeat(16, axis=0).tolist(),
        "format": "toy-float32",
        "peak": True,
        "named": True,
        "missing": "Toy is not installed, and model.toy needs it. Run: python -m pip install 'u3p-edge[toy]'",
    }


def test_every_runtime_has_a_line_of_the_table() -> None:
    folder = Path(u3p_edge.__file__).parent / "runtime"
    opening = {f"u3p_edge.runtime.{path.stem}" for path in folder.glob("*.py") if "\ndef open_file(" in path.read_text("utf-8")}
    missing = sorted(opening - {runtime.module for runtime in RUNTIMES.values()})
    assert len(opening) >= 3
    assert not missing, f"RUNTIMES of u3p_edge/runtime/registry.py has no line for {', '.join(missing)}"
