"""Names beside the points of a scatter plot, none over another."""

from __future__ import annotations

from typing import Iterator, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

SIZE = 7.5  # points
NEAR = 8.0  # pixels from a point to its name
LED = 1.2 * NEAR  # from here on a line leads from a point to its name
RINGS = 40  # how far out a free place is looked for


def place_labels(
    figure: Figure, axes: matplotlib.axes.Axes, names: Sequence[str], x: np.ndarray, y: np.ndarray
) -> None:
    """Writes each name at the nearest place that covers no point and no name that stands already.

    No name stands as near to another point as to its own, unless a thin line leads to its own and past no other.
    Where no such place is free one that only covers nothing is taken, and where there is none the nearest.
    """
    figure.canvas.draw()  # the data's places on the canvas are known from here on
    points = axes.transData.transform(np.column_stack([x, y]))
    space = axes.get_window_extent()
    taken = [(px - 4, py - 4, px + 4, py + 4) for px, py in points]
    middle = points.mean(axis=0) if len(points) else (0, 0)
    outside_first = np.argsort([-abs(px - middle[0]) - abs(py - middle[1]) for px, py in points], kind="stable")
    for number in outside_first.tolist():
        width, height = _size(figure, axes, names[number])
        point = points[number]
        places = [(left, low, left + width, low + height) for left, low in _places(point, width, height)]
        free = [
            place
            for place in places
            if place[0] >= space.x0
            and place[1] >= space.y0
            and place[2] <= space.x1
            and place[3] <= space.y1
            and not any(_overlap(place, other) for other in taken)
        ]
        others = np.delete(points, number, axis=0)
        place = next((place for place in free if _is_of(place, point, others)), (free or places)[0])
        taken.append(place)
        _write(axes, names[number], point, place)


def _places(point: np.ndarray, width: float, height: float) -> Iterator[tuple[float, float]]:
    """Lower left corners: right, left, above, below and in between, ring after ring outwards."""
    px, py = point
    for ring in range(RINGS):
        away = NEAR + 7.0 * ring
        for turn in np.arange(0, 2 * np.pi, np.pi / (4 if ring < 2 else 8)):
            across, up = np.cos(turn), np.sin(turn)
            yield (
                px + away * across - width * (1 - across) / 2,
                py + away * up - height * (1 - up) / 2,
            )


def _size(figure: Figure, axes: matplotlib.axes.Axes, name: str) -> tuple[float, float]:
    text = axes.text(0, 0, name, fontsize=SIZE)
    extent = text.get_window_extent(figure.canvas.get_renderer())
    text.remove()
    return 1.05 * extent.width + 4, extent.height + 3  # letters are a little wider or narrower at another resolution


def _is_of(place: Sequence[float], point: np.ndarray, others: np.ndarray) -> bool:
    """Whether a reader takes the name for that of its point, not of one of the others (N, 2)."""
    own, nearest = _distance(place, point), min((_distance(place, other) for other in others), default=np.inf)
    if own <= LED:
        return nearest > own + NEAR / 2
    end = _nearest(place, point)
    return nearest > 1.5 * NEAR and not any(_from_line(other, point, end) < NEAR for other in others)


def _nearest(place: Sequence[float], point: np.ndarray) -> np.ndarray:
    """The part of the place that is nearest to the point."""
    return np.clip(point, (place[0], place[1]), (place[2], place[3]))


def _distance(place: Sequence[float], point: np.ndarray) -> float:
    return float(np.hypot(*(_nearest(place, point) - point)))


def _from_line(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    """How far a point is from the line from `start` to `end`, which are apart."""
    along = np.clip((point - start) @ (end - start) / ((end - start) @ (end - start)), 0, 1)
    return float(np.hypot(*(start + along * (end - start) - point)))


def _overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _write(axes: matplotlib.axes.Axes, name: str, point: np.ndarray, place: Sequence[float]) -> None:
    to_data = axes.transData.inverted()
    at = to_data.transform((place[0] + 1, place[1] + 1))
    halo = [withStroke(linewidth=2, foreground="white")]  # so that lines that pass behind leave it legible
    axes.text(at[0], at[1], name, fontsize=SIZE, va="bottom", ha="left", zorder=4, path_effects=halo)
    if _distance(place, point) > LED:
        ends = to_data.transform([point, _nearest(place, point)])
        axes.plot(ends[:, 0], ends[:, 1], color="0.45", linewidth=0.7, zorder=2)
