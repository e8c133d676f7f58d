"""A virtual environment for every peer whose packages may clash with others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.peers.peer import Peer, PeerError, last_line
from u3p_edge.files.atomic import make_folder, write_text

WORKER = ("numpy>=1.26,<3", "lazy-loader>=0.4,<1")
"""What `benchmarks.peers.worker` needs."""

INSTALLED = "packages.txt"


def python_of(peer: Peer, folder: Path) -> Path:
    """Return the interpreter of a peer; its virtual environment is made in `folder` if it is not there yet.

    Raises:
        PeerError: pip cannot install its packages.
    """
    if not peer.isolated:
        return Path(sys.executable)
    home = folder.resolve() / peer.key
    python, wanted = home / "bin" / "python", "\n".join((*WORKER, *peer.packages))
    done = home / INSTALLED
    if not done.exists() or done.read_text(encoding="utf-8") != wanted:
        make_folder(folder)
        subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(home)], check=True)
        install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", *wanted.splitlines()]
        result = subprocess.run(install, capture_output=True, text=True, check=False)
        if result.returncode:
            raise PeerError(f"pip: {last_line(result.stderr)}")
        write_text(done, wanted)
    return python
