"""The verdict for people and for CI services, and the step summary."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.sample_results import result
from u3p_edge.benchmark.ceilings import Ceilings
from u3p_edge.benchmark.checks import Check, Verdict
from u3p_edge.benchmark.compare import compare_runs
from u3p_edge.errors import ArtifactError
from u3p_edge.report.github import VARIABLE, append_summary
from u3p_edge.report.verdict import render_junit, render_verdict

MIXED = Verdict(
    (
        Check("size", "a.tflite", "passed", "1 -> 1 MB"),
        Check("accuracy", "a.tflite", "regressed", "90 -> 80 <&>"),
        Check("latency", "a.tflite", "incomparable", "the processors differ (x|y)", "1 thread"),
        Check("latency", "a.tflite", "inconclusive", "x1.05 (0.95 to 1.2)", "2 threads"),
        Check("file", "b.tflite", "missing", "only the baseline has it"),
    ),
    ("c.tflite is compared with a_.tflite",),
)


@pytest.mark.parametrize(("strict", "failures", "skipped"), [(False, "1", "3"), (True, "3", "1")])
def test_junit_counts_what_it_lists(strict: bool, failures: str, skipped: str) -> None:
    suite = ElementTree.fromstring(render_junit(MIXED, strict=strict))
    assert {key: suite.get(key) for key in ("tests", "failures", "skipped", "errors")} == {
        "tests": "5",
        "failures": failures,
        "skipped": skipped,
        "errors": "0",
    }
    assert len(suite.findall("testcase/failure")) == int(failures)
    assert len(suite.findall("testcase/skipped")) == int(skipped)
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "regressed: 90 -> 80 <&>"
    assert suite.findtext("testcase/system-out") == "1 -> 1 MB"


def test_the_names_of_tests_hold_no_measured_value() -> None:
    def names(slowness: float, dice: float) -> list[tuple[str | None, str | None]]:
        verdict = compare_runs(result(), result(relative=0.3 * slowness, dice=dice, seed=5), ceilings=Ceilings(ms=20))
        return [(case.get("classname"), case.get("name")) for case in ElementTree.fromstring(render_junit(verdict))]

    assert names(1.0, 0.9) == names(1.4, 0.7), "the same checks, whatever came out"
    assert ("model.int8.tflite", "latency, budget") in names(1.0, 0.9)
    assert len(set(names(1.0, 0.9))) == len(names(1.0, 0.9)), "no two tests of one name"


def test_the_table_says_why() -> None:
    text = render_verdict(MIXED)
    assert text.splitlines()[0] == "## Gate: ❌ regressed"
    assert "| a.tflite | latency, 1 thread | ⚠️ not comparable | the processors differ (x\\|y) |" in text
    assert text.endswith("\n\n- c.tflite is compared with a\\_.tflite\n")
    assert render_verdict(compare_runs(result(), result())).startswith("## Gate: ✅ passed")
    undecided = Verdict((Check("size", "a", "inconclusive", ""),))
    assert render_verdict(undecided).splitlines()[0] == "## Gate: ❔ inconclusive"
    assert "failed" in render_verdict(undecided, strict=True).splitlines()[0]


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
