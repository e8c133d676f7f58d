"""Run the scripts of a CI service as its runner does, with this checkout as the installed program."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.paths import REPOSITORY
from tests.support.timed_files import write_chain


def make_workspace(root: Path) -> Path:
    """A folder with the program and two folders of files, "short" and "long", of which the second takes longer."""
    write_chain(root / "short", 3)
    write_chain(root / "long", 9)
    write_program(root / "bin" / "u3p-edge", f'exec {sys.executable} -m u3p_edge "$@"')
    return root


def write_program(path: Path, line: str) -> None:
    """Write a program of one line of shell."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


def run_script(script: str, workspace: Path, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run lines of bash that end at the first error, in a workspace whose programs come first."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **variables}
    environment["PATH"] = f"{workspace / 'bin'}{os.pathsep}{environment['PATH']}"
    command = ["bash", "-eo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=workspace, env=environment, capture_output=True, text=True, check=False)
