"""Damaged files of every kind end in a value or in an error of ours: no other exception, no signal, no gigabytes.

How to let it run for longer, and where its findings are kept: README.md.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.fuzz.mutate import EDITS, Edit, apply
from tests.support.fuzz.process import Worker
from tests.support.fuzz.readers import READERS
from tests.support.fuzz.texts import texts

HERE = Path(__file__).parent
SECONDS = float(os.environ.get("U3P_EDGE_FUZZ_SECONDS", "0"))
"""For each reader; 0 is the short run of the suite, whose examples are the same every time."""
EXAMPLES = {
    "tflite": 150,
    "tflite inspected": 150,
    "onnx": 150,
    "onnx as a graph": 150,
    "keras": 15,
    "weights": 3,
    "description": 3,
    "nifti": 60,
    "video": 5,
    "dataset": 60,
    "source of slices": 30,
    "dicom": 60,
    "dicom labels": 30,
}
"""Of the short run. The others read in a millisecond: 100."""
PATIENCE = 60.0
"""Seconds after which a reader's short run ends with fewer examples, on a busy machine."""
PEAK_MB = 2600
"""TensorFlow and a small model take 700 MB, a model file 512 MB beside it (`readers.MEMORY_MB`), and XNNPACK packs weights
and rounds up; a file that asks for more than is allowed asks for many gigabytes."""
TEXTS = (
    *("result", "history", "manifest", "bill of materials", "rewrites", "table", "plan", "train recipe", "export recipe"),
    *("split", "source of slices", "dataset", "description", "colour table", "segment codes"),
)


def budget(reader: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The settings of a reader's test."""
    examples = EXAMPLES.get(reader, 100) if SECONDS == 0 else 10**9
    return settings(
        max_examples=examples,
        derandomize=SECONDS == 0,
        database=None,
        deadline=None,
        phases=(Phase.generate,) if SECONDS == 0 else (Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


def ask(worker: Worker, reader: str, path: Path, data: bytes) -> dict[str, object]:
    """What comes of the bytes under the suffix of a path; a file of a run folder lies in it."""
    return worker.ask(reader, data, path.suffix, path.parent if reader in ("weights", "description", "dicom labels") else None)


def check(worker: Worker, reader: str, path: Path, data: bytes) -> None:
    """Fails, and keeps the bytes beside this file, unless they are read or refused."""
    answer = ask(worker, reader, path, data)
    if answer["outcome"] in ("read", "refused") and float(str(answer["peak_mb"])) < PEAK_MB:
        return
    worker.stop()
    kept = HERE / "found" / f"{reader.replace(' ', '_')}-{hashlib.sha256(data).hexdigest()[:12]}{path.suffix}"
    kept.parent.mkdir(exist_ok=True)
    kept.write_bytes(data)
    pytest.fail(f"{answer['outcome']}, {answer['peak_mb']} MB, kept as {kept}:\n{answer['text']}")


@pytest.mark.parametrize("reader", READERS)
def test_sound_files_are_read(reader: str, worker: Worker, sound: dict[str, list[Path]]) -> None:
    """Else the tests below would damage what is refused as it is."""
    for path in sound[reader]:
        answer = ask(worker, reader, path, path.read_bytes())
        assert answer["outcome"] == "read", answer["text"]


@pytest.mark.parametrize("reader", READERS)
def test_inputs_that_were_found_before(reader: str, worker: Worker, sound: dict[str, list[Path]]) -> None:
    for path in sorted((HERE / "inputs").glob(f"{reader.replace(' ', '_')}-*")):
        check(worker, reader, sound[reader][0].with_suffix(path.suffix), path.read_bytes())


@pytest.mark.parametrize("reader", READERS)
def test_damaged_bytes_are_read_or_refused(reader: str, worker: Worker, sound: dict[str, list[Path]]) -> None:
    end = time.monotonic() + (SECONDS or PATIENCE)

    @budget(reader)
    @given(path=st.sampled_from(sound[reader]), edits=EDITS)
    def damage(path: Path, edits: list[Edit]) -> None:
        if time.monotonic() < end:
            check(worker, reader, path, apply(path.read_bytes(), edits))

    damage()


@pytest.mark.parametrize("reader", TEXTS)
def test_wrong_values_in_texts_are_read_or_refused(reader: str, worker: Worker, sound: dict[str, list[Path]]) -> None:
    end = time.monotonic() + (SECONDS or PATIENCE)
    (path,) = sound[reader]

    @budget(reader)
    @given(data=texts(path.read_text(encoding="utf-8")))
    def damage(data: bytes) -> None:
        if time.monotonic() < end:
            check(worker, reader, path, data)

    damage()
