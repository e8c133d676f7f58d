"""Python code in a process of its own, on a machine that lacks some packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from u3p_edge.errors import EXTRAS

NOT_ON_A_DEVICE = tuple(module for module, extra in EXTRAS.items() if extra)
"""What the base installation leaves out."""

BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""


def blocking(modules: tuple[str, ...]) -> str:
    """Code after which a process cannot import these modules."""
    return BLOCKER.format(blocked=modules)


def run_without(blocked: tuple[str, ...], code: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run code in a process that cannot import `blocked`."""
    whole = blocking(blocked) + code
    return subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, check=False, cwd=cwd)
