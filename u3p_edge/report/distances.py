"""How far the outlines of prediction and truth lie apart, as a table of the report."""

from __future__ import annotations

from u3p_edge.benchmark.result import Accuracy, DistanceUnit, RunResult

DISTANCES = (
    "HD95 (95th percentile Hausdorff distance) / average surface distance between the outlines of prediction and truth, image "
    "by image, in {unit}: the mean over the images of a group, then over groups. A class that only one of the two masks has "
    "counts as the diagonal of the image. report.json has the values of each group."
)


def distance_table(result: RunResult) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of HD95 and surface distance of every foreground class."""

    def pair(accuracy: Accuracy, index: int) -> str:
        distances = accuracy.distances
        values = (None, None) if distances is None else (distances.hd95[index], distances.surface[index])
        return " / ".join("–" if value is None else f"{value:.2f}" for value in values)

    classes = range(1, len(result.class_names))
    rows = [[a.name, *(pair(a.accuracy, i) for i in classes)] for a in result.artifacts if a.accuracy]
    return [f"HD95 / surface, {distance_unit(result)}", *result.class_names[1:]], rows


def describe_distances(result: RunResult) -> str:
    """Return what the table of distances shows."""
    unit = distance_unit(result)
    return DISTANCES.format(unit=f"{unit} of the network's input" if unit == "pixels" else unit)


def distance_unit(result: RunResult) -> DistanceUnit:
    """Return the unit of the distances of a result, which was measured on one set of images."""
    measured = (a.accuracy.distances for a in result.artifacts if a.accuracy and a.accuracy.distances)
    return next((distances.unit for distances in measured), "pixels")
