"""The command line of a benchmark, and the commands of the program, run as a user types them."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser that shows a script's docstring as it is written."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def typed_command(name: str) -> str:
    """Return the command that runs this benchmark with the arguments of this process, for the record."""
    return shlex.join(["python", "-m", f"benchmarks.{name}", *sys.argv[1:]])


def run_program(*words: str | Path) -> None:
    """Run u3p-edge as a user does, in a separate process; its failure ends this one."""
    subprocess.run([sys.executable, "-m", "u3p_edge.cli.main", *map(str, words)], check=True)
