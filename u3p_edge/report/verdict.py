"""The gate's verdict as Markdown, and as JUnit XML for the test tab of a CI service."""

from __future__ import annotations

from xml.etree import ElementTree

from u3p_edge.benchmark.checks import Verdict
from u3p_edge.text import to_markdown, to_xml

SIGNS = {
    "passed": "✅ passed",
    "regressed": "❌ regressed",
    "inconclusive": "❔ inconclusive",
    "incomparable": "⚠️ not comparable",
    "missing": "➖ missing",
}


def render_verdict(verdict: Verdict, *, strict: bool = False) -> str:
    """Render one table with a row per check, and the notes; names of files are escaped for Markdown."""
    rows = [f"| {to_markdown(c.artifact)} | {c.title} | {SIGNS[c.outcome]} | {to_markdown(c.reason)} |" for c in verdict.checks]
    head = [
        f"## Gate: {SIGNS[verdict.outcome]}{why_strict(verdict, strict=strict)}",
        "",
        "| file | what | outcome | why |",
        "|---|---|---|---|",
    ]
    notes = ["", *(f"- {to_markdown(note)}" for note in verdict.notes)] if verdict.notes else []
    return "\n".join([*head, *rows, *notes]) + "\n"


def why_strict(verdict: Verdict, *, strict: bool) -> str:
    """Return a suffix for an outcome that fails only because of `strict`; else empty."""
    fails = strict and verdict.exit_code(strict=True) != verdict.exit_code()
    return ", failed for what is inconclusive or missing (--strict)" if fails else ""


def render_junit(verdict: Verdict, *, strict: bool = False) -> str:
    """Return JUnit XML: one test case per check, with a name that is the same in every run, so that a server can track it.

    A regression is a failure. With `strict`, inconclusive and missing checks are failures too. All other undecided checks are
    skipped. The measured values are the case's message or output.
    """
    failed = {"regressed", "inconclusive", "missing"} if strict else {"regressed"}
    kinds = ["passed" if c.outcome == "passed" else "failure" if c.outcome in failed else "skipped" for c in verdict.checks]
    suite = ElementTree.Element(
        "testsuite",
        name="u3p-edge gate",
        tests=str(len(verdict.checks)),
        failures=str(kinds.count("failure")),
        errors="0",
        skipped=str(kinds.count("skipped")),
    )
    for check, kind in zip(verdict.checks, kinds, strict=True):
        case = ElementTree.SubElement(suite, "testcase", classname=to_xml(check.artifact), name=check.title)
        if kind == "passed":
            ElementTree.SubElement(case, "system-out").text = to_xml(check.reason)
        else:
            ElementTree.SubElement(case, kind, message=to_xml(f"{check.outcome}: {check.reason}"))
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"
