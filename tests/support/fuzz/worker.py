"""A process that reads one file after another, and says what came of it.

Each line of standard input is a reader and a path, with a tab between. The answer is a line of JSON: {"outcome": "read",
"refused" or "failed", "text": ..., "peak_mb": ...}. A signal ends the process, and whoever started it sees that.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import traceback
from pathlib import Path

from tests.support.fuzz.readers import READERS
from u3p_edge.benchmark.memory_probe import peak_mb
from u3p_edge.errors import U3pEdgeError

ADDRESS_SPACE = 24 << 30
"""Bytes: what lies beyond ends in a MemoryError. TensorFlow alone maps several gigabytes."""


def answer(reader: str, path: Path) -> dict[str, object]:
    """What came of one file."""
    try:
        READERS[reader](path)
        result = {"outcome": "read", "text": ""}
    except U3pEdgeError as error:
        result = {"outcome": "refused", "text": str(error)}
    except BaseException:  # a SystemExit or KeyboardInterrupt out of a reader is a failure too
        result = {"outcome": "failed", "text": traceback.format_exc()}
    return {**result, "peak_mb": peak_mb()}


def main() -> None:
    """Answer until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    # Libraries print to standard output, some of them from C: only answers may reach the one that is read.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for line in sys.stdin:
        reader, _, path = line.rstrip("\n").partition("\t")
        print(json.dumps(answer(reader, Path(path))), file=answers, flush=True)


if __name__ == "__main__":
    main()
