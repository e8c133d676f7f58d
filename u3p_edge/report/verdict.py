"""The gate's verdict as Markdown, and as JUnit XML for the test tab of a CI service."""

from __future__ import annotations

from xml.etree import ElementTree

from u3p_edge.benchmark.compare import Verdict
from u3p_edge.text import to_markdown, to_xml

SIGNS = {"passed": "✅ passed", "regressed": "❌ regressed", "incomparable": "⚠️ not comparable"}


def render_verdict(verdict: Verdict) -> str:
    """One table, one row a check; the names of files are made safe for Markdown."""
    rows = [f"| {to_markdown(c.artifact)} | {c.what} | {SIGNS[c.outcome]} | {to_markdown(c.reason)} |" for c in verdict.checks]
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
        reason = to_xml(check.reason)
        case = ElementTree.SubElement(suite, "testcase", classname=to_xml(check.artifact), name=f"{check.what}: {reason}")
        if check.outcome == "regressed":
            ElementTree.SubElement(case, "failure", message=reason)
        elif check.outcome == "incomparable":
            ElementTree.SubElement(case, "skipped", message=reason)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"
