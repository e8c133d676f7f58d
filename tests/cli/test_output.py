"""What a command prints: in any encoding, and whatever strangers called their files and classes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.command_line import Ended, Program, run_process
from tests.support.sample_results import result
from tests.support.small_artifacts import Zoo
from u3p_edge.benchmark.result import RunResult
from u3p_edge.benchmark.result_file import save_result
from u3p_edge.config.metadata import Metadata
from u3p_edge.report import pareto
from u3p_edge.report.github import VARIABLE
from u3p_edge.report.markdown import render
from u3p_edge.report.samples import PictureRow, draw_samples

EVIL = "m\x1b[31m|<script>x</script>\n\n# ✅ passed\u202e [red]`*:boom:\x07"
"""ANSI colour, a table cell, HTML, a heading, a bidirectional override, rich markup, code, emphasis, an emoji code, a bell."""

FORBIDDEN = ("\x1b", "\x07", "\u202e", "\n\n# ✅")


def evil_result() -> RunResult:
    """A result whose every text of strangers is `EVIL`."""
    base = result()
    artifacts = tuple(dataclasses.replace(a, name=f"{i}{EVIL}", sha256=EVIL) for i, a in enumerate(base.artifacts))
    assert base.data is not None
    return dataclasses.replace(
        base,
        artifacts=artifacts,
        reference=artifacts[0].name,
        class_names=("background", f"a{EVIL}", f"b{EVIL}"),
        command=f"u3p-edge bench {EVIL}",
        data=dataclasses.replace(base.data, name=EVIL, split=EVIL),
        environment=dataclasses.replace(base.environment, cpu=EVIL),
    )


def is_clean(text: str) -> bool:
    return not [sign for sign in FORBIDDEN if sign in text]


def test_a_result_of_a_stranger_reaches_every_target_as_text(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved, summary, xml = tmp_path / "r.json", tmp_path / "summary.md", tmp_path / "gate.xml"
    save_result(saved, evil_result())
    monkeypatch.setenv(VARIABLE, str(summary))
    monkeypatch.delenv("COLUMNS")  # as wide as it must be
    done = program("gate", saved, saved, "--junit", xml)
    assert done.code == 0, done.err
    assert r"m\x1b[31m|<script>x</script>\n\n# ✅ passed\u202e [red]`*:boom:\x07" in done.out, "shown whole, as text"
    assert is_clean(done.out)
    text = summary.read_text(encoding="utf-8")
    assert is_clean(text)
    assert "<script>" not in text
    lines = text.splitlines()
    assert [line for line in lines if line.startswith("#")] == ["## Gate: ✅ passed"]
    # Six columns' ends would be more than the four columns have.
    assert all(line.replace(r"\|", "").count("|") == 5 for line in lines[2:] if line)
    names = {case.get("classname") for case in ElementTree.parse(xml).getroot()}
    assert names == {rf"{i}m\x1b[31m|<script>x</script>\n\n# ✅ passed\u202e [red]`*:boom:\x07" for i in (0, 1)}


def test_the_report_and_its_pictures_hold_names_as_text() -> None:
    evil = evil_result()
    text = render(evil, title=EVIL, notes=[f"**Bold** of ours, {EVIL}"])
    assert is_clean(text)
    assert "<script>" not in text
    assert [line for line in text.splitlines() if line.startswith("#")][1:] == ["## Latency", "## Classes", "## Where and how"]
    assert "- **Bold** of ours, m" in text
    picture = pareto.draw_pareto(evil)
    assert picture is not None
    assert is_clean(picture.decode())
    assert len([e for e in ElementTree.fromstring(picture).iter() if e.tag.endswith("script")]) == 0


def test_a_picture_with_a_strangers_names_can_be_drawn(zoo: Zoo) -> None:
    import numpy as np

    metadata: Metadata = dataclasses.replace(zoo.metadata, class_names=(EVIL, "\udcff", "\n\n"))
    labels = np.zeros((48, 64), np.uint8)
    sample = PictureRow(EVIL, np.zeros((48, 64, 1), np.float32), labels, labels, labels)
    assert (
        draw_samples([sample], metadata).size[1] == draw_samples([dataclasses.replace(sample, stem="a")], zoo.metadata).size[1]
    )


def test_an_error_names_a_strangers_file_as_text(program: Program, tmp_path: Path) -> None:
    done = program("bench", tmp_path / "a\x1b[31m\nu3p-edge: passed.tflite")
    assert done.code == 2
    assert done.err.splitlines()[-1].endswith(r"a\x1b[31m\nu3p-edge: passed.tflite does not exist")
    assert is_clean(done.err)


def printing(arguments: tuple[object, ...], encoding: str) -> Ended:
    return run_process(*arguments, PYTHONIOENCODING=encoding, COLUMNS="120")


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_names_of_classes_and_files_are_printed_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    saved = tmp_path / "r.json"
    save_result(saved, dataclasses.replace(result(), class_names=("background", "Läsion →", "病变")))
    done = printing(("gate", saved, saved), encoding)
    assert done.code == 0, done
    assert "passed" in done.out
    assert "?" not in done.out
    assert_named_as_text(tmp_path, encoding)


def assert_named_as_text(folder: Path, encoding: str) -> None:
    done = printing(("bench", folder / "Läsion→.tflite"), encoding)
    assert done.code == 2
    assert "does not exist" in done.err
    assert "sion" in done.err


def test_every_kind_of_command_prints_in_ascii(zoo: Zoo, tmp_path: Path) -> None:
    saved, encoding = tmp_path / "r.json", "ascii"
    save_result(saved, dataclasses.replace(result(), class_names=("background", "Läsion →", "病变")))
    model = zoo.path("int8.tflite")
    for arguments, words in (
        (("gate", saved, saved), "passed"),
        (("bench", model, "--rounds", 5, "--memory", 0, "--threads", 1), "x is the time of"),
        (("inspect", model), "GMAC"),
        (("recipes",), "balanced (default)"),
        (("bench", "--help"), "Usage"),
    ):
        done = printing(arguments, encoding)
        assert done.code == 0, (arguments, done)
        assert words in done.out
        assert "?" not in done.out.replace("?]", "")
    assert_named_as_text(tmp_path, encoding)
