"""Measure exported files, compare them with a kept result, and fail if a file became worse.

    python examples/gate_in_ci.py exported/report.json scans exported/reference.float32.tflite exported/model.int8.tflite

Dice and size are compared, which no machine changes. Latency is left out: `u3p-edge gate` with two run folders times the files
of both side by side. Exit codes are those of `u3p-edge gate`: 0 passed, 1 regressed, 3 not
comparable. Needs the base install alone.
"""

from __future__ import annotations

import sys

import u3p_edge as u3p


def main(baseline: str, data: str, *models: str) -> int:
    """Print every check; return the exit code."""
    current = u3p.bench(models, data, settings=u3p.Settings(threads=(), memory_repeats=0))
    verdict = u3p.gate(baseline, current, scope=u3p.Scope(what=("accuracy", "size")))
    for check in verdict.checks:
        print(f"{check.outcome}: {check.artifact}: {check.title}: {check.reason}")
    return verdict.exit_code()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
