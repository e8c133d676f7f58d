"""Slices are put in the order of their positions; what is no stack of equally spaced planes is refused, and the file named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from u3p_edge.errors import DataError
from u3p_edge.scans.dicom.geometry import GAP_SHARE, POSITION_STEP, stack_frames
from u3p_edge.scans.dicom.header import DicomFrame

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def frames(*heights: float, orientation: tuple[float, ...] = AXIAL) -> list[DicomFrame]:
    """Frames of 4x5 pixels along z; each has a file named by its height."""
    return [
        DicomFrame(Path(f"z{height:g}.dcm"), 0, (4, 5), (-10.0, -20.0, height), orientation, (0.5, 0.75), depth=3.0)
        for height in heights
    ]


def names(stack_of: list[DicomFrame]) -> list[str]:
    return [frame.file.name for frame in stack_frames(stack_of).frames]


def test_slices_are_sorted_from_foot_to_head() -> None:
    assert names(frames(5, 0, 7.5, 2.5)) == ["z0.dcm", "z2.5.dcm", "z5.dcm", "z7.5.dcm"]


def test_the_affine_is_in_ras_millimetres() -> None:
    """DICOM's x grows to the left and y to the back; NIfTI's to the right and the front. By hand from PS3.3, C.7.6.2.1.1."""
    affine = stack_frames(frames(5, 0, 2.5)).affine
    assert affine is not None
    # Slice 1, row 2, column 3: x = -(-10 + 3 * .75), y = -(-20 + 2 * .5), z = 2.5.
    assert (affine @ [1, 2, 3, 1]).tolist() == [7.75, 19.0, 2.5, 1.0]


def test_a_lone_slice_has_the_depth_that_its_file_says() -> None:
    affine = stack_frames(frames(4)).affine
    assert affine is not None
    assert affine[:, 0].tolist() == [0, 0, 3, 0]


@settings(max_examples=25, deadline=None)
@given(
    turn=st.floats(-3, 3),
    tilt=st.floats(-3, 3),
    spacing=st.floats(0.1, 10),
    count=st.integers(2, 8),
    order=st.randoms(use_true_random=False),
)
def test_any_orientation_and_order(turn: float, tilt: float, spacing: float, count: int, order: object) -> None:
    """The affine gives every slice the position of its file."""
    cosines = np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0]])
    cosines = cosines @ np.array([[1, 0, 0], [0, np.cos(tilt), np.sin(tilt)], [0, -np.sin(tilt), np.cos(tilt)]])
    normal = np.cross(*cosines)
    all_frames = [
        replace(one, position=tuple(np.array([1.0, 2.0, 3.0]) + k * spacing * normal), orientation=tuple(cosines.ravel()))
        for k, one in enumerate(frames(*range(count)))
    ]
    shuffled = list(all_frames)
    order.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis gives a random.Random
    stack = stack_frames(shuffled)
    assert [frame.file for frame in stack.frames] == [frame.file for frame in all_frames]
    assert stack.affine is not None
    for k, frame in enumerate(stack.frames):
        assert frame.position is not None
        x, y, z = frame.position
        # Coordinates are below 100 and go through fewer than 10 roundings of a float64 (2^-53).
        assert np.abs((stack.affine @ [k, 0, 0, 1])[:3] - [-x, -y, z]).max() < 100 * 10 * 2**-53


def test_a_tilted_gantry_gives_a_sheared_affine() -> None:
    """Slices that are shifted against each other evenly are one volume; its slice axis is not the normal."""
    tilted = [replace(one, position=(-10.0, -20.0 + k, 2.0 * k)) for k, one in enumerate(frames(0, 2, 4))]
    affine = stack_frames(tilted).affine
    assert affine is not None
    assert affine[:3, 0].tolist() == [0, -1, 2]


def test_a_missing_slice() -> None:
    with pytest.raises(DataError, match=r"between z2\.5\.dcm and z7\.5\.dcm is a gap of 5 mm, and of 2\.5 .*1 slice may"):
        stack_frames(frames(0, 2.5, 7.5, 10))


def test_uneven_slices() -> None:
    with pytest.raises(DataError, match=r"gap of 3 mm.*not equally spaced"):
        stack_frames(frames(0, 2.5, 5, 8))


@pytest.mark.parametrize(("share", "accepted"), [(0.99, True), (1.01, False)])
def test_the_tolerance_of_gaps_is_what_it_is_said_to_be(share: float, accepted: bool) -> None:
    off = share * (POSITION_STEP + GAP_SHARE * 2.5)
    uneven = frames(0, 2.5, 5, 7.5 + off)
    if accepted:
        assert len(stack_frames(uneven).frames) == 4
    else:
        with pytest.raises(DataError, match="gap"):
            stack_frames(uneven)


def test_two_slices_at_one_position() -> None:
    with pytest.raises(DataError, match=r"z2\.5\.dcm and z2\.5\.dcm are at one position \(1 such pairs\): several time points"):
        stack_frames(frames(0, 2.5, 2.5, 5))


def test_a_slice_beside_the_others() -> None:
    with pytest.raises(DataError, match=r"z2\.dcm is 0\.3 mm beside"):
        stack_frames([replace(one, position=(-9.7, -20.0, 2.0)) if k == 1 else one for k, one in enumerate(frames(0, 2, 4, 6))])


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("size in pixels", {"size": (5, 4)}),
        ("spacing of pixels", {"spacing": (0.5, 0.5)}),
        ("spacing of pixels", {"spacing": None}),
        ("orientation", {"orientation": (0.0, 1.0, 0.0, 0.0, 0.0, 1.0)}),
    ],
)
def test_mixed_series(what: str, change: dict[str, object]) -> None:
    mixed = [replace(one, **change) if k == 2 else one for k, one in enumerate(frames(0, 1, 2, 3))]  # type: ignore[arg-type] # fields by name
    with pytest.raises(DataError, match=rf"^z2\.dcm: of another {what} than the 3 other images"):
        stack_frames(mixed)


def test_some_without_a_position() -> None:
    mixed = [replace(one, position=None) if k == 1 else one for k, one in enumerate(frames(0, 1, 2))]
    with pytest.raises(DataError, match=r"^z1\.dcm: without a position"):
        stack_frames(mixed)


def test_frames_without_positions_stay_in_their_order() -> None:
    stack = stack_frames([replace(one, position=None, orientation=None) for one in frames(3, 1, 2)])
    assert [frame.file.name for frame in stack.frames] == ["z3.dcm", "z1.dcm", "z2.dcm"]
    assert stack.affine is None


def test_directions_that_are_not_at_right_angles() -> None:
    with pytest.raises(DataError, match=r"^z0\.dcm has an orientation"):
        stack_frames(frames(0, 1, orientation=(1.0, 0.0, 0.0, 0.5, 0.866, 0.0)))
