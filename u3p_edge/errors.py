"""What a user can do wrong, as exceptions.

    U3pEdgeError                  caught by the command line only: one message, no traceback, exit code 2
    ├── ConfigError               a recipe or an option that is not allowed
    ├── DataError                 images, masks or splits that cannot be used
    ├── ModelError                a model file or a layer that cannot be read
    ├── ArtifactError             a file of a run that cannot be read or written
    │   └── CheckpointError       a checkpoint that cannot be resumed
    ├── MissingPackageError       a package of an extra that is not installed
    ├── VerificationError         an exported file that does not do what its float model does (exit code 1)
    └── InconclusiveError         a check that was required and that the data cannot decide (exit code 4)

Anything else that escapes is a bug and keeps its traceback.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType

BASE = ""
"""The extra of what every installation has."""

_MODULES = {
    BASE: (
        "ai_edge_litert",
        "flatbuffers",
        "lazy_loader",
        "numpy",
        "PIL",
        "psutil",
        "rich",
        "safetensors",
        "tomli",
        "typer",
    ),
    "export": (
        *(
            "cyclonedx",
            "filelock",
            "h5py",
            "matplotlib",
            "onnx",
            "packageurl",
            "packaging",
            "scipy",
            "tensorboard",
            "tensorflow",
        ),
        *("tensorflow_model_optimization", "tf_keras"),
    ),
    "dicom": ("highdicom", "pydicom"),
    "history": ("ruptures",),
    "nifti": ("nibabel",),
    "onnx": ("onnxruntime",),
    "openvino": ("openvino",),
    "video": ("imageio_ffmpeg",),
}

EXTRAS: Mapping[str, str] = MappingProxyType({module: extra for extra, modules in _MODULES.items() for module in modules})
"""The extra of pyproject.toml that installs a module which this package imports."""


class U3pEdgeError(Exception):
    """A user's mistake: what is wrong and why, then how to mend it.

    Args:
        symptom: one sentence that names the file or option and says what is wrong with it.
        mend: one sentence that says what to do; empty where the symptom does.
    """

    exit_code = 2

    def __init__(self, symptom: str, *, mend: str = "") -> None:
        super().__init__(symptom if not mend else f"{symptom.rstrip('.')}. {mend}")
        self.symptom = symptom
        self.mend = mend


class ConfigError(U3pEdgeError):
    """A recipe, an option or a shape that is not allowed."""


class DataError(U3pEdgeError):
    """Images, masks or splits that cannot be used."""


class ModelError(U3pEdgeError):
    """A model file, or a layer in it, that cannot be read."""


class ArtifactError(U3pEdgeError):
    """A file of a run that cannot be read or written."""


class CheckpointError(ArtifactError):
    """A checkpoint that is damaged, or of another run."""


class MissingPackageError(U3pEdgeError):
    """A package that is needed here and that is not installed, or that cannot be loaded."""


class VerificationError(U3pEdgeError):
    """An exported file disagrees with the float model it was made from."""

    exit_code = 1


class InconclusiveError(U3pEdgeError):
    """A check that was required and that the data cannot decide."""

    exit_code = 4


@contextlib.contextmanager
def about(subject: object) -> Iterator[None]:
    """Raise any `U3pEdgeError` of the block with the file or option that it is about before its symptom."""
    try:
        yield
    except U3pEdgeError as error:
        raise type(error)(f"{subject}: {error.symptom}", mend=error.mend) from error


def missing_package(name: str, needed_by: str, extra: str, error: ImportError | None = None) -> MissingPackageError:
    """Return the error for a package that is not installed, or that cannot be loaded.

    Args:
        name: the package.
        needed_by: the command, function or file that needs it.
        extra: the extra of u3p-edge that installs it, or `BASE`.
        error: of the import; anything but a ModuleNotFoundError means that the package is there and does not work.
    """
    absent = error is None or isinstance(error, ModuleNotFoundError)
    reason = "is not installed" if absent else f"cannot be loaded ({(str(error).splitlines() or ['no reason given'])[0]})"
    requirement = f"'u3p-edge[{extra}]'" if extra else "u3p-edge"
    return MissingPackageError(f"{name} {reason}, and {needed_by} needs it", mend=f"Run: python -m pip install {requirement}")


@contextlib.contextmanager
def require_packages(needed_by: str) -> Iterator[None]:
    """Name the extra to install where the block, or the decorated function, imports a package of an extra in vain.

    Args:
        needed_by: the command or function.

    Raises:
        MissingPackageError: the package is not installed, or it cannot be loaded. Any other ImportError is a bug and passes.
    """
    try:
        yield
    except ImportError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRAS:
            raise
        raise missing_package(module, needed_by, EXTRAS[module], error) from error
