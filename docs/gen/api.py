"""The reference of the Python API, and the architecture as the package and its contracts have it.

    <!-- api -->                    every public name of `u3p_edge`, for mkdocstrings to render
    <!-- docstring: u3p_edge -->    a module's docstring as it is written
    <!-- modules -->                every package and module with the first sentence of its docstring
    <!-- layers -->                 the layers that import-linter checks, the highest first
    <!-- example: tests/runtime/test_new_runtime.py TOY -->    code that a test holds as text and runs

MkDocs calls `on_page_markdown` as one of the hooks that mkdocs.yml names.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from u3p_edge.files.json_toml import parse_toml

PACKAGE = Path(__file__).resolve().parents[2] / "u3p_edge"
DOCSTRING = re.compile(r"^<!-- docstring: ([\w.]+) -->$", re.MULTILINE)
API = re.compile(r"^<!-- api -->$", re.MULTILINE)
MODULES = re.compile(r"^<!-- modules -->$", re.MULTILINE)
EXAMPLE = re.compile(r"^<!-- example: (\S+) (\w+) -->$", re.MULTILINE)
LAYERS = re.compile(r"^<!-- layers -->$", re.MULTILINE)


def public_values() -> dict[str, object]:
    """Return the public values of the package by name."""
    import u3p_edge

    names: list[str] = getattr(u3p_edge, "__all__", [])
    return {name: getattr(u3p_edge, name) for name in names if not name.startswith("_")}


def reference() -> str:
    """Return a mkdocstrings block for each public function, then for each class."""
    sections: dict[str, list[str]] = {"Functions": [], "Values": []}
    for name, value in public_values().items():
        sections["Values" if isinstance(value, type) else "Functions"].append(f"::: {value.__module__}.{name}")
    return "\n\n".join(text for title, blocks in sections.items() for text in (f"## {title}", *blocks))


def docstring(module: str) -> str:
    """Return the docstring of a module of the package, which is not imported for it."""
    path = PACKAGE.parent.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""


def module_list() -> str:
    """Return a table of each package: its modules and what each is for."""
    parts = []
    for folder in sorted({path.parent for path in PACKAGE.rglob("*.py")}):
        name = ".".join(folder.relative_to(PACKAGE.parent).parts)
        files = sorted(path for path in folder.glob("*.py") if path.stem != "__init__")
        rows = [f"| `{path.stem}` | {_first_sentence(f'{name}.{path.stem}')} |" for path in files]
        heading = [f"## {name}", "", _first_sentence(name), "", "| module | what it is for |", "| --- | --- |"]
        parts.append("\n".join([*heading, *rows]))
    return "\n\n".join(parts)


def layers() -> str:
    """Return the layers of the import contract as a numbered list; those of one line do not import each other."""
    config = parse_toml((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    contract = next(one for one in config["tool"]["importlinter"]["contracts"] if one["type"] == "layers")
    return "\n".join(f"1. {', '.join(f'`{name.strip()}`' for name in layer.split('|'))}" for layer in contract["layers"])


def example(file: str, name: str) -> str:
    """Return the text that a file of the repository assigns to `name`.

    Raises:
        KeyError: it assigns no text to that name.
    """
    tree = ast.parse((PACKAGE.parent / file).read_text(encoding="utf-8"))
    assigned = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return assigned[name].strip()


def expand(markdown: str) -> str:
    """Return a page with its directives replaced by what they ask for."""
    markdown = EXAMPLE.sub(lambda match: f"```python\n{example(match[1], match[2])}\n```", markdown)
    markdown = LAYERS.sub(lambda _: layers(), markdown)
    markdown = DOCSTRING.sub(lambda match: f"```text\n{docstring(match[1])}\n```", markdown)
    markdown = MODULES.sub(lambda _: module_list(), markdown)
    return API.sub(lambda _: reference(), markdown)


def on_page_markdown(markdown: str, **_: object) -> str:
    """MkDocs' hook: expand the directives of one page."""
    return expand(markdown)


def _first_sentence(module: str) -> str:
    """Return the first sentence of a module's docstring, fit for a cell of a table."""
    first = " ".join(docstring(module).split("\n\n")[0].split())
    return re.split(r"(?<=[.!?]) ", first)[0].replace("|", "\\|").replace("<", "&lt;")
