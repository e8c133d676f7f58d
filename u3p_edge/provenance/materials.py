"""What an export consists of and what each part was made from: the graph that a bill of materials shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from u3p_edge.manifest import Artifact, Manifest, Origin


@dataclass(frozen=True)
class Materials:
    """The parts of an export by reference: "file:NAME" or "origin:KIND".

    Args:
        hashes: hexadecimal sha256 of each part.
        made_from: references of the parts that it was made from.
    """

    hashes: Mapping[str, str]
    made_from: Mapping[str, frozenset[str]]


def list_materials(manifest: Manifest) -> Materials:
    """Return the parts of a run as its manifest has them.

    >>> files = (Artifact("model.tflite", "tflite-float32", "aa", 3, parent="bb"),)
    >>> list_materials(Manifest(files, origins=(Origin("float model", "bb"),))).made_from["file:model.tflite"]
    frozenset({'origin:float-model'})
    """
    parts = {reference(one): one for one in manifest.parts}
    by_hash: dict[str, str] = {}
    for name, one in parts.items():
        by_hash.setdefault(one.sha256, name)
    made_from = {
        name: frozenset(by_hash[digest] for digest in (one.parent, *one.uses) if digest in by_hash and by_hash[digest] != name)
        for name, one in parts.items()
    }
    return Materials({name: one.sha256 for name, one in parts.items()}, made_from)


def reference(part: Artifact | Origin) -> str:
    """Return the name of a part that no other part of the run has."""
    return f"file:{part.file}" if isinstance(part, Artifact) else f"origin:{part.kind.replace(' ', '-')}"
