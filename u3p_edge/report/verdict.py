"""The gate's verdict as Markdown, and as JUnit XML for the test tab of a CI service."""

from __future__ import annotations

from xml.etree import ElementTree

from u3p_edge.benchmark.compare import Verdict

SIGNS = {"passed": "✅ passed", "regressed": "❌ regressed", "incomparable": "⚠️ not comparable"}


def render_verdict(verdict: Verdict) -> str:
    """One table, one row a check."""
    rows = [
        f"| {c.artifact} | {c.what} | {SIGNS[c.outcome]} | {c.reason.replace('|', chr(92) + '|')} |" for c in verdict.checks
    ]
    head = [f"## Gate: {SIGNS[verdict.outcome]}", "", "| file | what | outcome | why |", "|---|---|---|---|"]
    return "\n".join([*head, *rows]) + "\n"


def junit(verdict: Verdict) -> str:
    """JUnit XML: a test case a check; a regression is a failure, an incomparable check is skipped."""
    counts = {outcome: sum(c.outcome == outcome for c in verdict.checks) for outcome in SIGNS}
    suite = ElementTree.Element(
        "testsuite",
        name="u3p-edge gate",
        tests=str(len(verdict.checks)),
        failures=str(counts["regressed"]),
        errors="0",
        skipped=str(counts["incomparable"]),
    )
    for check in verdict.checks:
        case = ElementTree.SubElement(suite, "testcase", classname=check.artifact, name=f"{check.what}: {check.reason}")
        if check.outcome == "regressed":
            ElementTree.SubElement(case, "failure", message=check.reason)
        elif check.outcome == "incomparable":
            ElementTree.SubElement(case, "skipped", message=check.reason)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"
