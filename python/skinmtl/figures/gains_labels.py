"""Names beside the points of a scatter plot, none over another."""

from __future__ import annotations

from typing import Iterator, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox

SIZE = 7.5  # points
NEAR = 8.0  # pixels from a point to its name
LED = 1.2 * NEAR  # from here on a line leads from a point to its name
RINGS = 40  # how far out a free place is looked for


def place_labels(
    figure: Figure, axes: matplotlib.axes.Axes, names: Sequence[str], x: np.ndarray, y: np.ndarray
) -> None:
    """Writes each name at the nearest place that covers no point, no name that stands already and no line of one.

    No name stands as near to another point as to its own, unless a thin line leads to its own, past no other point,
    across no name and no other such line. Where no such place is free one is taken whose line at least crosses nothing,
    then one that only covers nothing, and where there is none the nearest.
    """
    figure.canvas.draw()  # the data's places on the canvas are known from here on
    points = axes.transData.transform(np.column_stack([x, y]))
    space = axes.get_window_extent()
    sizes = [_size(figure, axes, name) for name in names]
    middle = points.mean(axis=0) if len(points) else (0, 0)
    away = [-abs(px - middle[0]) - abs(py - middle[1]) for px, py in points]
    found = []
    # one name after the other may leave the last none: another order then leaves it one (outside first is best mostly)
    for key in (away, points[:, 1], -points[:, 1], -points[:, 0], [-each for each in away], points[:, 0]):
        found.append(_placed(points, sizes, space, np.argsort(key, kind="stable").tolist()))
        if not found[-1][0]:
            break
    _, places = min(found, key=lambda each: each[0])
    for number, place in places.items():
        _write(axes, names[number], points[number], place)


def _placed(
    points: np.ndarray, sizes: Sequence[tuple[float, float]], space: Bbox, order: Sequence[int]
) -> tuple[int, dict[int, Sequence[float]]]:
    """How many names have no place such as they should have, and the place of each, taken in this order."""
    taken = [(px - 4, py - 4, px + 4, py + 4) for px, py in points]
    found: dict[int, Sequence[float]] = {}
    lines: list[tuple[list[float], list[float]]] = []
    poor = 0
    for number in order:
        (width, height), point = sizes[number], points[number]
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
        clear = [place for place in free if _is_clear(place, point, list(found.values()), lines)]
        place = next((place for place in clear if _is_of(place, point, others)), None)
        if place is None:
            poor += 1 if clear else len(points)
            place = (clear or free or places)[0]
        taken.append(place)
        found[number] = place
        if _is_led(place, point):
            lines.append(_line(place, point))
    return poor, found


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


def _is_led(place: Sequence[float], point: np.ndarray) -> bool:
    """Whether a line leads from the point to its name."""
    return _distance(place, point) > LED


def _is_clear(
    place: Sequence[float],
    point: np.ndarray,
    names: Sequence[Sequence[float]],
    lines: Sequence[tuple[list[float], list[float]]],
) -> bool:
    """Whether the name covers no line that leads to another, and its own line neither another nor another's name."""
    if any(_passes(start, end, place) for start, end in lines):
        return False
    if not _is_led(place, point):
        return True
    own = _line(place, point)
    return not any(_cross(*own, *line) for line in lines) and not any(_passes(*own, name) for name in names)


def _line(place: Sequence[float], point: np.ndarray) -> tuple[list[float], list[float]]:
    """From the point to its name."""
    return point.tolist(), _nearest(place, point).tolist()


def _cross(a: Sequence[float], b: Sequence[float], c: Sequence[float], d: Sequence[float]) -> bool:
    """Whether the line from a to b meets that from c to d: the ends of each lie on both sides of the other."""
    return _left(a, b, c) != _left(a, b, d) and _left(c, d, a) != _left(c, d, b)


def _left(start: Sequence[float], end: Sequence[float], point: Sequence[float]) -> bool:
    return (end[0] - start[0]) * (point[1] - start[1]) > (end[1] - start[1]) * (point[0] - start[0])


def _passes(start: Sequence[float], end: Sequence[float], place: Sequence[float]) -> bool:
    """Whether the line passes over the place."""
    x0, y0, x1, y1 = place
    if max(start[0], end[0]) < x0 or min(start[0], end[0]) > x1 or max(start[1], end[1]) < y0:
        return False
    if any(x0 <= x <= x1 and y0 <= y <= y1 for x, y in (start, end)):
        return True
    return _cross(start, end, (x0, y0), (x1, y1)) or _cross(start, end, (x0, y1), (x1, y0))


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
    if _is_led(place, point):
        ends = to_data.transform([point, _nearest(place, point)])
        axes.plot(ends[:, 0], ends[:, 1], color="0.45", linewidth=0.7, zorder=2)
