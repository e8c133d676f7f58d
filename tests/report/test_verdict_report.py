"""The verdict for people and for CI services, and the step summary."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from sample_results import result

from u3p_edge.benchmark.compare import Check, Verdict, gate
from u3p_edge.errors import ArtifactError
from u3p_edge.report.github import VARIABLE, append_summary
from u3p_edge.report.verdict import junit, render_verdict

MIXED = Verdict(
    (
        Check("size", "a.tflite", "passed", "1 -> 1 MB"),
        Check("accuracy", "a.tflite", "regressed", "90 -> 80 <&>"),
        Check("latency", "a.tflite", "incomparable", "the processors differ (x|y)"),
    )
)


def test_junit_counts_what_it_lists() -> None:
    suite = ElementTree.fromstring(junit(MIXED))
    assert {key: suite.get(key) for key in ("tests", "failures", "skipped", "errors")} == {
        "tests": "3",
        "failures": "1",
        "skipped": "1",
        "errors": "0",
    }
    assert [len(case) for case in suite] == [0, 1, 1]
    assert suite.find("testcase/failure").get("message") == "90 -> 80 <&>"


def test_the_table_says_why() -> None:
    text = render_verdict(MIXED)
    assert text.splitlines()[0] == "## Gate: ❌ regressed"
    assert "| a.tflite | latency | ⚠️ not comparable | the processors differ (x\\|y) |" in text
    assert render_verdict(gate(result(), result())).startswith("## Gate: ✅ passed")


def test_the_step_summary_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "summary.md"
    monkeypatch.setenv(VARIABLE, str(path))
    assert append_summary("# one\n")
    assert append_summary("# two")
    assert path.read_text() == "# one\n\n# two\n\n"


def test_outside_of_ci_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert not append_summary("# one")


def test_a_summary_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "absent" / "summary.md"))
    with pytest.raises(ArtifactError, match=r"summary\.md, which \$GITHUB_STEP_SUMMARY names"):
        append_summary("# one")
