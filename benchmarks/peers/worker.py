"""The process of one peer: it makes the peer's file, or loads it and does what the benchmark asks for, a line at a time.

    python -m benchmarks.peers.worker make KEY MATERIAL FOLDER
    python -m benchmarks.peers.worker serve KEY FILE THREADS IMAGE.npy

`serve` answers every line of JSON on standard input with one on standard output:

    {"predict": "IMAGES.npy", "into": "MASKS.npy"}   -> {}
    {"repeats": 3, "warm_up": true}                  -> {"elapsed_ms": 7.1, "processor_ms": 7.0}, of one run
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from benchmarks.peers.peer import LoadedNetwork, Material, PeerError
from benchmarks.peers.registry import find_peer
from u3p_edge.benchmark.memory_probe import peak_mb
from u3p_edge.latency.clock import milliseconds

FILE = "FILE "
"""Before the name of the file that `make` wrote."""


def make(key: str, material: str, folder: str) -> None:
    """Let a peer make its file, and print its name. A PeerError ends the process with its message alone."""
    try:
        path = find_peer(key).make(Material(Path(material)), Path(folder))
    except PeerError as error:
        raise SystemExit(str(error)) from error
    print(f"\n{FILE}{path.name}", flush=True)


def serve(key: str, file: str, threads: str, image: str) -> None:
    """Load a peer's file, and answer requests until standard input ends. The first answer has memory, time and versions."""
    channel, peer, before = _take_stdout(), find_peer(key), peak_mb()
    network = peer.load(Path(file), int(threads))
    network.set_image(np.load(image))
    elapsed = take_sample(network, repeats=1, warm_up=True)["elapsed_ms"]
    loaded = {"baseline_mb": before, "peak_mb": peak_mb(), "elapsed_ms": elapsed, "versions": versions_of(peer.packages)}
    _answer(channel, loaded)
    for line in sys.stdin:
        request = json.loads(line)
        _answer(channel, _predict(network, request) if "predict" in request else take_sample(network, **request))


def take_sample(network: LoadedNetwork, repeats: int, warm_up: bool) -> dict[str, float]:
    """Return milliseconds of one run: elapsed, and of the processor. Arguments as of `u3p_edge.latency.clock.milliseconds`."""
    if warm_up:
        network.run()
    start = time.process_time_ns()
    elapsed = milliseconds(network.run, repeats=repeats)
    return {"elapsed_ms": elapsed, "processor_ms": (time.process_time_ns() - start) / 1e6 / repeats}


def versions_of(packages: Sequence[str]) -> dict[str, str]:
    """Return the installed version of each package that pip is asked for, e.g. "numpy>=2"."""
    names = [re.split(r"[<>=!~\[; ]", package, maxsplit=1)[0] for package in packages]
    return {name: importlib.metadata.version(name) for name in names}


def _predict(network: LoadedNetwork, request: Mapping[str, str]) -> dict[str, Any]:
    masks = []
    for image in np.load(request["predict"], mmap_mode="r"):
        network.set_image(np.asarray(image))
        network.run()
        masks.append(np.array(network.read_mask(), np.float32))
    np.save(request["into"], np.stack(masks))
    return {}


def _take_stdout() -> TextIO:
    """Return standard output for the answers; what a runtime prints goes to standard error from now on."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return channel


def _answer(channel: TextIO, values: Mapping[str, Any]) -> None:
    channel.write(json.dumps(values) + "\n")
    channel.flush()


if __name__ == "__main__":
    make(*sys.argv[2:]) if sys.argv[1] == "make" else serve(*sys.argv[2:])
