"""Draws skin-like photographs for the demo: seven body sites and ten lesion types, one small function each.

Lengths are in units of the canvas's shorter side, so a drawing does not depend on the size of its photograph. Some
lesions look almost alike (alopecia and scar, comedones and macule, crust and vesicles, nodule and pearly papule): the
site tells them apart better than their pixels do.
"""

from __future__ import annotations

from typing import Callable, Sequence

import cv2
import numpy as np

UNIT = 160  # shorter side of the canvas, in pixels; the finished drawing is resized to the photograph's size
REACH = 0.27  # lesions start this close to the centre, so that a training crop rarely misses them
SKIN_TONES = ((45, 68, 112), (78, 112, 165), (118, 155, 206), (160, 182, 226), (186, 204, 238))  # B, G, R
HAIR_COLOURS = ((18, 20, 26), (28, 40, 62), (40, 66, 104), (78, 116, 152), (120, 122, 124))
CLOTHS = ((120, 92, 60), (96, 120, 70), (150, 150, 146), (60, 56, 58), (110, 84, 120))
WHITE, BLACK = (242, 244, 246), (16, 18, 22)
RED, YELLOW, BROWN, CRUST = (74, 64, 196), (148, 218, 236), (34, 54, 94), (67, 70, 184)


class Look:
    """What all images of a patient share."""

    def __init__(self, rng: np.random.RandomState) -> None:
        tone = rng.uniform(0, len(SKIN_TONES) - 1)
        low = int(tone)
        self.skin = _mix(SKIN_TONES[low], SKIN_TONES[low + 1], tone - low) * rng.uniform(0.94, 1.06, 3)
        self.hair = np.array(HAIR_COLOURS[rng.randint(len(HAIR_COLOURS))]) * rng.uniform(0.8, 1.2)
        self.cloth = np.array(CLOTHS[rng.randint(len(CLOTHS))]) * rng.uniform(0.8, 1.2, 3)
        self.light = rng.uniform(0, 2 * np.pi)
        self.gradient = rng.uniform(0.05, 0.35)
        self.gain = rng.uniform(0.75, 1.0)
        self.noise = rng.uniform(1, 7)
        self.hairiness = rng.uniform(0, 1) ** 2


class Scene:
    """A canvas in work: the image so far and `body`, the mask outside which nothing is painted any more."""

    def __init__(self, look: Look, rng: np.random.RandomState, height: int, width: int) -> None:
        self.look, self.rng = look, rng
        self.height, self.width = height, width
        self.image = np.full((height, width, 3), look.skin, np.float32)
        self.body = np.full((height, width), 255, np.uint8)
        angle, self.zoom = rng.uniform(-0.8, 0.8), UNIT * rng.uniform(0.85, 1.7)
        self.turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        self.centre = np.array([width, height]) / 2 + rng.uniform(-0.2, 0.2, 2) * UNIT

    def pixels(self, points: Sequence[Sequence[float]]) -> np.ndarray:
        """The site's own coordinates, origin in the middle, y down, to whole pixels (..., 2)."""
        return np.rint(self.centre + np.dot(points, self.turn.T) * self.zoom).astype(np.int32)

    def blank(self) -> np.ndarray:
        return np.zeros((self.height, self.width), np.uint8)

    def paint(self, mask: np.ndarray, colour: Sequence[float], opacity: float = 1.0, soft: float = 0.0) -> None:
        """Blends `colour` in where `mask` is set; `soft` blurs the mask's edge."""
        if soft:
            mask = cv2.GaussianBlur(mask, (0, 0), soft * UNIT)
        alpha = np.minimum(mask, self.body).astype(np.float32)[:, :, None] * np.float32(opacity / 255)
        self.image += alpha * (np.asarray(colour, np.float32) - self.image)

    def ellipse(self, x: float, y: float, rx: float, ry: float) -> np.ndarray:
        """A filled ellipse in the site's coordinates, as a mask."""
        turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        outline = np.stack([x + rx * np.cos(turn), y + ry * np.sin(turn)], 1)
        return cv2.fillPoly(self.blank(), [self.pixels(outline)], 255, cv2.LINE_AA)

    def strokes(self, paths: Sequence[Sequence[Sequence[float]]], width: float) -> np.ndarray:
        """Open lines in the site's coordinates, as a mask."""
        paths, thickness = [self.pixels(path) for path in paths], max(1, round(width * self.zoom))
        return cv2.polylines(self.blank(), paths, False, 255, thickness, cv2.LINE_AA)

    def spot(self) -> np.ndarray:
        """A point on the body near the middle of the image, in pixels."""
        for _ in range(50):
            x, y = np.array([self.width, self.height]) / 2 + self.rng.uniform(-REACH, REACH, 2) * UNIT
            if self.body[int(y), int(x)]:
                break
        return np.array([x, y])

    def blob(self, centre: np.ndarray, radius: float, stretch: float = 1.3, ragged: float = 0.15) -> np.ndarray:
        """An irregular filled outline about a point in pixels, as a mask."""
        rng, turn = self.rng, np.linspace(0, 2 * np.pi, 32, endpoint=False)
        radii = 1 + sum(rng.uniform(-ragged, ragged) * np.cos(k * turn + rng.uniform(0, 6.3)) for k in (2, 3, 5))
        tall, tilt = rng.uniform(1, stretch) ** 0.5, rng.uniform(0, np.pi)
        x, y = radii * np.cos(turn) * tall, radii * np.sin(turn) / tall
        outline = np.stack([x * np.cos(tilt) - y * np.sin(tilt), x * np.sin(tilt) + y * np.cos(tilt)], 1)
        whole = np.rint(centre + outline * radius * UNIT).astype(np.int32)
        return cv2.fillPoly(self.blank(), [whole], 255, cv2.LINE_AA)

    def dots(self, centres: np.ndarray, low: float, high: float) -> np.ndarray:
        """Round dots about points in pixels, radii between `low` and `high`, as a mask."""
        mask = self.blank()
        for x, y in np.rint(np.asarray(centres) * 4).astype(int).tolist():
            cv2.circle(mask, (x, y), round(self.rng.uniform(low, high) * UNIT * 4), 255, -1, cv2.LINE_AA, 2)
        return mask

    def scattered(self, count: int, spread: float) -> np.ndarray:
        """A cluster of points in pixels about one spot."""
        return self.spot() + self.rng.uniform(-spread, spread, (count, 2)) * UNIT

    def hairs(self, starts: np.ndarray, angles: np.ndarray, length: float, width: float) -> None:
        """Curved hairs in the site's coordinates, in four shades of the patient's hair colour."""
        along = np.linspace(0, 1, 6)[None, :, None] * length * self.rng.uniform(0.6, 1.2, (len(starts), 1, 1))
        bent = angles[:, None] + np.linspace(0, 1, 6) * self.rng.uniform(-0.6, 0.6, (len(starts), 1))
        paths = starts[:, None] + along * np.stack([np.cos(bent), np.sin(bent)], 2)
        for part, shade in enumerate((0.6, 0.9, 1.25, 1.7)):
            self.paint(self.strokes(paths[part::4], width), np.minimum(self.look.hair * shade, 230), 0.8)


def _mix(a: Sequence[float], b: Sequence[float], share: float) -> np.ndarray:
    return np.asarray(a, float) * (1 - share) + np.asarray(b, float) * share


def _cut_out(scene: Scene, body: np.ndarray) -> None:
    """Puts cloth behind the body and rounds the body off with shade at its edge; only the body is painted after it."""
    scene.paint(255 - body, scene.look.cloth)
    scene.body = body
    scene.paint(255 - cv2.GaussianBlur(body, (0, 0), 0.06 * UNIT), scene.look.skin * 0.4, 0.9)


def _scalp(scene: Scene) -> None:
    rng, look = scene.rng, scene.look
    scene.image[:] = _mix(look.hair, look.skin, 0.25)
    starts = rng.uniform(-0.8, 0.8, (360, 2))
    side = np.where(starts[:, 0] < 0, np.pi - 0.5, 0.5)  # combed away from the parting
    scene.hairs(starts, side + rng.uniform(-0.3, 0.3, 360), 0.32, 0.008)
    parting = [(0, -1.2), (rng.uniform(-0.05, 0.05), 0), (0, 1.2)]
    scene.paint(scene.strokes([parting], 0.035), look.skin, 0.8, 0.008)


def _face(scene: Scene) -> None:
    shade = scene.look.skin * 0.6
    for x in (-0.3, 0.3):
        scene.paint(scene.ellipse(x, -0.25, 0.14, 0.09), shade, 0.6, 0.03)
        scene.paint(scene.ellipse(x, -0.25, 0.10, 0.045), WHITE, 0.9, 0.004)
        scene.paint(scene.ellipse(x, -0.25, 0.04, 0.042), BLACK, 0.9, 0.004)
        brow = [(x - 0.13, -0.36), (x, -0.40), (x + 0.13, -0.36)]
        scene.paint(scene.strokes([brow], 0.035), scene.look.hair, 0.8, 0.008)
    scene.paint(scene.strokes([[(0.05, -0.3), (0.07, 0.05), (-0.06, 0.09)]], 0.03), shade, 0.7, 0.015)
    scene.paint(scene.ellipse(0, 0.36, 0.17, 0.05), _mix(scene.look.skin, RED, 0.45), 0.9, 0.01)
    scene.paint(scene.strokes([[(-0.17, 0.36), (0, 0.37), (0.17, 0.36)]], 0.012), shade * 0.6, 0.8, 0.004)


def _back(scene: Scene) -> None:
    shade = scene.look.skin * 0.55
    scene.paint(scene.strokes([[(0, -1.2), (0, 1.2)]], 0.05), shade, 0.5, 0.025)
    for side in (-1, 1):
        blade = [(side * x, y) for x, y in ((0.42, -0.5), (0.22, -0.25), (0.2, 0.0), (0.42, 0.1))]
        scene.paint(scene.strokes([blade], 0.04), shade, 0.45, 0.025)


def _abdomen(scene: Scene) -> None:
    shade = scene.look.skin * 0.5
    scene.paint(scene.ellipse(0, 0.12, 0.09, 0.075), shade, 0.6, 0.02)
    scene.paint(scene.ellipse(0, 0.12, 0.045, 0.035), shade * 0.6, 0.8, 0.012)
    belly(scene)


def belly(scene: Scene) -> None:
    """Skin above a waistband, without a navel."""
    waistband = cv2.fillPoly(scene.blank(), [scene.pixels([(-2, 0.4), (2, 0.4), (2, 2), (-2, 2)])], 255)
    _cut_out(scene, 255 - waistband)


def _hands(scene: Scene) -> None:
    body = scene.ellipse(0, 0.27, 0.29, 0.27)
    tips = np.array([(-0.30, -0.27), (-0.10, -0.40), (0.10, -0.39), (0.29, -0.25)])
    tips += scene.rng.uniform(-0.03, 0.03, (4, 2))
    for x, y in tips:
        body = np.maximum(body, scene.strokes([[(x * 0.72, 0.2), (x, y)]], 0.14))
    body = np.maximum(body, scene.strokes([[(0.15, 0.35), (0.46, 0.12)]], 0.14))  # the thumb
    _cut_out(scene, np.maximum(body, scene.strokes([[(0, 0.3), (0, 1.3)]], 0.42)))
    for x, y in tips:
        scene.paint(scene.ellipse(x, y, 0.04, 0.05), _mix(scene.look.skin, WHITE, 0.45), 0.9, 0.004)


def _legs(scene: Scene) -> None:
    _cut_out(scene, scene.strokes([[(-0.12, -1.3), (0, 0), (-0.06, 1.3)]], 0.66))
    knee = [(-0.17, -0.1), (0, 0.12), (0.17, -0.1)]
    scene.paint(scene.strokes([knee], 0.04), scene.look.skin * 0.6, 0.6, 0.02)
    starts = scene.rng.uniform(-0.45, 0.45, (16 + int(60 * scene.look.hairiness), 2))
    scene.hairs(starts, np.pi / 2 + scene.rng.uniform(-0.4, 0.4, len(starts)), 0.09, 0.006)


def _feet(scene: Scene) -> None:
    body = np.maximum(scene.ellipse(0, 0.02, 0.33, 0.24), scene.strokes([[(0.02, 0.15), (0.05, 1.3)]], 0.5))
    toes = np.array([(-27, -25, 10.5), (-9, -28, 7), (5, -26, 6.2), (18, -21, 5.8), (29, -13, 5)]) / 100
    for x, y, radius in toes:
        body = np.maximum(body, scene.ellipse(x, y, radius, radius * 1.35))
    _cut_out(scene, body)
    nail = _mix(scene.look.skin, WHITE, 0.5)
    for x, y, radius in toes:
        scene.paint(scene.ellipse(x, y - radius / 2, radius * 0.6, radius * 0.55), nail, 0.9)


def _pale_patch(scene: Scene, stretch: float) -> None:
    colour = _mix(_mix(scene.look.skin, WHITE, scene.rng.uniform(0.4, 0.65)), RED, 0.08)
    for _ in range(scene.rng.randint(1, 3)):
        mask = scene.blob(scene.spot(), scene.rng.uniform(0.1, 0.17), stretch, 0.08)
        scene.paint(mask, scene.look.skin * 0.6, 0.7, 0.03)  # a faint rim, or it is lost on pale skin
        scene.paint(mask, colour, 0.95, 0.006)


def _alopecia(scene: Scene) -> None:
    _pale_patch(scene, 2.1)


def _scar(scene: Scene) -> None:
    _pale_patch(scene, 2.3)  # at times longer than a bald patch


def _specks(scene: Scene, colour: np.ndarray, low: float, high: float) -> None:
    centres = scene.scattered(scene.rng.randint(6, 15), 0.2)
    scene.paint(scene.dots(centres, low, high), colour, scene.rng.uniform(0.7, 0.95), 0.004)


def _comedones(scene: Scene) -> None:
    _specks(scene, _mix(scene.look.skin * 0.25, BLACK, 0.7), 0.015, 0.028)


def _macule(scene: Scene) -> None:
    _specks(scene, _mix(scene.look.skin * 0.3, BROWN, 0.3), 0.016, 0.03)


def _vesicles(scene: Scene) -> None:
    centres = scene.scattered(scene.rng.randint(6, 13), 0.16)
    scene.paint(scene.dots(centres, 0.04, 0.055), RED, 0.65, 0.012)
    scene.paint(scene.dots(centres, 0.018, 0.032), YELLOW, scene.rng.uniform(0.6, 0.9), 0.005)


def _crust(scene: Scene) -> None:
    centre = scene.spot()
    for _ in range(2):  # spots over spots, so that they run together
        centres = centre + scene.rng.uniform(-0.14, 0.14, (5, 2)) * UNIT
        scene.paint(scene.dots(centres, 0.04, 0.055), CRUST, 0.65, 0.012)
        scene.paint(scene.dots(centres, 0.018, 0.032), YELLOW, scene.rng.uniform(0.6, 0.9), 0.005)


def _red_patch(scene: Scene) -> np.ndarray:
    mask = scene.blob(scene.spot(), scene.rng.uniform(0.12, 0.2))
    scene.paint(mask, _mix(scene.look.skin * 0.9, RED, 0.75), scene.rng.uniform(0.5, 0.85), 0.015)
    return mask


def _flakes(scene: Scene, mask: np.ndarray, count: int, opacity: float) -> None:
    ys, xs = np.nonzero(mask)
    for chosen in scene.rng.randint(0, len(xs), count):
        flake = scene.blob(np.array([xs[chosen], ys[chosen]]), scene.rng.uniform(0.012, 0.024), 2.5, 0.2)
        scene.paint(flake, WHITE, opacity)


def _erythematous_plaque(scene: Scene) -> None:
    _flakes(scene, _red_patch(scene), scene.rng.randint(0, 10), scene.rng.uniform(0.4, 0.7))


def _squames(scene: Scene) -> None:
    _flakes(scene, _red_patch(scene), scene.rng.randint(4, 18), scene.rng.uniform(0.4, 0.7))


def _domes(scene: Scene, low: float, high: float, redness: float) -> None:
    """Raised lesions: shadow on one side, a highlight on the other."""
    colour = _mix(_mix(scene.look.skin, WHITE, 0.1), RED, redness)
    for _ in range(scene.rng.randint(1, 4)):
        radius, centre = scene.rng.uniform(low, high), scene.spot()
        lit = np.array([-0.7, -0.7]) * radius * UNIT
        scene.paint(scene.blob(centre - lit * 0.45, radius * 1.1, 1.15, 0.03), scene.look.skin * 0.35, 0.8, 0.02)
        scene.paint(scene.blob(centre, radius, 1.15, 0.03), colour, 0.95, 0.008)
        scene.paint(scene.dots([centre + lit * 0.4], radius * 0.3, radius * 0.4), WHITE, 0.8, 0.01)


def _nodule(scene: Scene) -> None:
    _domes(scene, 0.055, 0.09, scene.rng.uniform(0.1, 0.35))


def _pearly_papule(scene: Scene) -> None:
    _domes(scene, 0.05, 0.085, scene.rng.uniform(0.08, 0.33))


SITES: dict[str, Callable[[Scene], None]] = {
    "scalp": _scalp,
    "face": _face,
    "back": _back,
    "abdomen": _abdomen,
    "hands": _hands,
    "legs": _legs,
    "feet": _feet,
}
LESIONS: dict[str, Callable[[Scene], None]] = {
    "alopecia": _alopecia,
    "comedones": _comedones,
    "crust": _crust,
    "erythematous plaque": _erythematous_plaque,
    "macule": _macule,
    "nodule": _nodule,
    "pearly papule": _pearly_papule,
    "scar": _scar,
    "squames/scales": _squames,
    "vesicular/pustular": _vesicles,
}
