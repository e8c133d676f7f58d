"""The model files of a run, loaded in the runtimes that are installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from u3p_edge.benchmark.environment import scoring_threads
from u3p_edge.config.metadata import Metadata
from u3p_edge.errors import MissingPackageError, U3pEdgeError
from u3p_edge.runtime import Session, open_session
from u3p_edge.tools.verification.check import RunCheck, conclude


@dataclass(frozen=True)
class Opened:
    """The model files of a run that can be run here.

    Args:
        run: the folder.
        sessions: by file name.
        faults: one sentence for each file that cannot be loaded.
        left_out: one sentence for each file whose runtime is not installed.
    """

    run: Path
    sessions: Mapping[str, Session]
    faults: tuple[str, ...]
    left_out: tuple[str, ...]

    @property
    def metadata(self) -> Metadata:
        """The metadata of the first of them; there must be one."""
        return next(iter(self.sessions.values())).metadata


def open_files(run: Path, names: Iterable[str], max_memory_mb: float) -> Opened:
    """Load the model files of these names. A file that cannot be loaded is a fault, a runtime that is missing is none."""
    sessions: dict[str, Session] = {}
    faults, left_out = [], []
    for name in names:
        try:
            sessions[name] = open_session(run / name, scoring_threads(run / name), max_memory_mb=max_memory_mb)
        except MissingPackageError as error:
            left_out.append(error.symptom)
        except U3pEdgeError as error:
            faults.append(f"{name} cannot be run: {error.symptom.replace(str(run / name), name)}")
    return Opened(run, sessions, tuple(faults), tuple(left_out))


def check_metadata(opened: Opened, float_model: str) -> RunCheck:
    """Check that each file names, in its own metadata, the float model of this sha256."""
    recorded = {name: dict(session.metadata.lineage).get("float model", "") for name, session in opened.sessions.items()}
    faults = [f"{name} records another float model than the manifest" for name, one in recorded.items() if one != float_model]
    return conclude("metadata", faults, f"{len(recorded)} model files record the float model that the manifest leads to")
