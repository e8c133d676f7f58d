"""Say where a training or an export keeps its images."""

from __future__ import annotations


def describe_memory(needed: int, allowed: int) -> str:
    """Return where images of so many bytes are kept when an array may take so many bytes of memory."""
    from u3p_edge.data.disk_arrays import arrays_folder

    size = f"{needed / 1e9:.2f} GB for the images"
    if needed <= allowed:
        return size
    return f"{size}; what is larger than {allowed / 1e9:.1f} GB is kept on disk, in {arrays_folder()}"
