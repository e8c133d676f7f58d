"""`python -m u3p_edge` is the program `u3p-edge`."""

from __future__ import annotations

from u3p_edge.cli.main import main

if __name__ == "__main__":
    main()
