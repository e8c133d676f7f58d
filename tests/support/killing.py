"""Kills a piece of work just before one of its file operations, as a power switch would."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

CHANGES = frozenset(("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.link", "os.symlink", "os.truncate"))
"""What Python tells its audit hooks before it changes a file system, besides "open"."""

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def killed_at(work: Callable[[], object], number: int) -> bool:
    """Do work in a forked process that is killed just before its file operation of that number, from 1.

    Returns:
        Whether it was killed; it was not where it has fewer operations.
    """
    status = _forked(work, number, None)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        return True
    assert os.waitstatus_to_exitcode(status) == 0, "the work failed by itself"
    return False


def operations(work: Callable[[], object]) -> int:
    """Do work to its end in a forked process, and count its file operations."""
    reader, writer = os.pipe()
    _forked(work, 0, writer)
    os.close(writer)
    with os.fdopen(reader) as counted:
        return int(counted.read())


def changes_files(event: str, arguments: tuple[Any, ...]) -> bool:
    """Whether an event of `sys.addaudithook` is about to change a file or a folder."""
    if event == "open":
        path, _, flags = arguments
        return isinstance(path, (str, bytes)) and bool(flags & WRITING) and os.fspath(path) not in ("/dev/null", b"/dev/null")
    return event in CHANGES


def _forked(work: Callable[[], object], number: int, counted: int | None) -> int:
    """The status in which a forked process ended that did the work and was killed at an operation, or at none (0)."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if not child:
        _work_until_killed(work, number, counted)
    return os.waitpid(child, 0)[1]


def _work_until_killed(work: Callable[[], object], number: int, counted: int | None) -> None:
    """Never returns: ends the process."""
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if done == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if changes_files(event, arguments):
            count()

    synchronize = os.fsync

    def fsync(fd: Any) -> None:  # the one that Python tells no hook of
        count()
        synchronize(fd)

    code = 1
    try:
        os.fsync = fsync
        sys.addaudithook(hook)
        work()
        if counted is not None:
            os.write(counted, str(done).encode())
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)
