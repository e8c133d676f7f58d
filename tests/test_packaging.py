"""The base installation is what a device needs; every other package belongs to an extra, which a missing one names."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from tests.support.missing_packages import NOT_ON_A_DEVICE, run_without
from tests.support.paths import REPOSITORY
from u3p_edge import __version__
from u3p_edge.errors import BASE, EXTRAS, MissingPackageError, require_packages
from u3p_edge.files.json_toml import parse_toml
from u3p_edge.runtime.registry import RUNTIMES

PROJECT: dict[str, Any] = parse_toml((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OPTIONAL: dict[str, list[str]] = PROJECT["optional-dependencies"]


def imported_modules(path: Path) -> set[str]:
    """The top-level modules that a file imports, anywhere in it, by a statement or by `import_module`."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.append(str(node.module))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "importlib.import_module":
            names += [
                argument.value
                for argument in node.args
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
            ]
    return {name.partition(".")[0] for name in names}


def distributions(requirements: list[str]) -> set[str]:
    """The normalised names of what is required, extras of this package resolved."""
    result = set()
    for requirement in requirements:
        name, extras = re.match(r"([\w.-]+)(?:\[(.*?)\])?", requirement).groups()  # type: ignore[union-attr] # it always matches
        if name == PROJECT["name"]:
            result |= {package for extra in extras.split(",") for package in distributions(OPTIONAL[extra])}
        else:
            result.add(re.sub(r"[-_.]+", "-", name).lower())
    return result


def test_every_imported_package_is_in_the_extra_that_its_absence_names() -> None:
    imported = set().union(*map(imported_modules, (REPOSITORY / "u3p_edge").rglob("*.py")))
    imported |= {name.partition(".")[0] for runtime in RUNTIMES.values() for name in runtime.imports}
    # TensorFlow's summaries import tensorboard. The pytest plugin is imported by pytest alone.
    assert {"tensorboard"} | imported - set(sys.stdlib_module_names) - {"u3p_edge", "pytest"} == set(EXTRAS)
    known = {**packages_distributions(), "tomli": ["tomli"]}  # tomli is installed on Python 3.10 alone
    for module, extra in EXTRAS.items():
        required = distributions(OPTIONAL[extra] if extra else PROJECT["dependencies"])
        assert required & {re.sub(r"[-_.]+", "-", name).lower() for name in known[module]}, (module, extra)


def test_the_runtimes_name_the_same_extras() -> None:
    for runtime in RUNTIMES.values():
        assert EXTRAS[runtime.imports[0].partition(".")[0]] == runtime.extra


def test_dev_installs_every_extra_but_the_large_ones_of_single_jobs() -> None:
    development = distributions(OPTIONAL["dev"])
    for extra in OPTIONAL.keys() - {"dev", "calibration", "torch"}:
        assert distributions(OPTIONAL[extra]) <= development, extra


CALLS = """
import u3p_edge as u3p
calls = {{  # a call, and what needs the package
    "training": lambda: u3p.train({data!r}, "out"),
    "u3p_edge.prune": lambda: u3p.prune(),
    "u3p_edge.export": lambda: u3p.export(),
    "u3p_edge.load": lambda: u3p.load(),
    "u3p_edge.from_keras": lambda: u3p.from_keras(None),
    "inspecting this model": lambda: u3p.inspect(),
}}
for name, call in calls.items():
    try:
        call()
    except u3p.U3pEdgeError as error:
        print(name, error, sep=": ")
"""


def test_a_python_caller_gets_the_same_sentence(pictures: Path, tmp_path: Path) -> None:
    done = run_without(NOT_ON_A_DEVICE, CALLS.format(data=str(pictures)), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 6, said
    for line in said:
        name, _, message = line.partition(": ")
        mend = r"Run: python -m pip install 'u3p-edge\[export\]'"
        assert re.fullmatch(rf"\w+ is not installed, and {re.escape(name)} needs it\. {mend}", message), line
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_cannot_be_loaded_is_told_apart() -> None:
    message = r"onnxruntime cannot be loaded \(libc is too old\), and x needs it"
    with pytest.raises(MissingPackageError, match=message), require_packages("x"):
        raise ImportError("libc is too old\nmore", name="onnxruntime.capi")


def test_a_package_of_the_base_installation_names_no_extra() -> None:
    assert EXTRAS["numpy"] == BASE
    with pytest.raises(MissingPackageError, match=r"Run: python -m pip install u3p-edge$"), require_packages("x"):
        raise ModuleNotFoundError("No module named 'numpy'", name="numpy")


def test_a_name_that_this_package_lacks_is_a_bug() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"u3p_edge\.absent"), require_packages("x"):
        importlib.import_module("u3p_edge.absent")


def test_python_m_is_the_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "u3p_edge", "--version"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, f"u3p-edge {__version__}"), done.stderr


def installed_program() -> str:
    """The script that pip made; a checkout that is not installed has none."""
    path = Path(sys.executable).with_name("u3p-edge")
    if not path.exists():
        pytest.skip("u3p-edge is not installed")
    return str(path)


def test_completion_is_installed_and_completes(tmp_path: Path) -> None:
    """The shell is found by the process that started the program, so bash starts it, and has more to do afterwards."""
    program = shlex.quote(installed_program())
    home = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY)}
    script = f"{program} --install-completion && cat ~/.bashrc && . ~/.bash_completions/u3p-edge.sh && complete -p u3p-edge"
    done = subprocess.run(["bash", "-c", script], env=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    function = re.search(r"-F (\w+) u3p-edge", done.stdout)
    assert function, done.stdout
    asked = {"_U3P_EDGE_COMPLETE": "complete_bash", "COMP_WORDS": "u3p-edge exp", "COMP_CWORD": "1"}
    done = subprocess.run([installed_program()], env=home | asked, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["export"], done.stderr


def test_the_program_that_is_installed_says_its_version() -> None:
    done = subprocess.run([installed_program(), "--version"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"u3p-edge \d+\.\d+\.\d+", done.stdout.strip())
