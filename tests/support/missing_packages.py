"""Python code in a process of its own, on a machine that lacks some packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError(name + " is blocked by the test")

sys.meta_path.insert(0, Blocker())
"""


def run_without(blocked: tuple[str, ...], code: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run code in a process that cannot import `blocked`."""
    whole = BLOCKER.format(blocked=blocked) + code
    return subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, check=False, cwd=cwd)
