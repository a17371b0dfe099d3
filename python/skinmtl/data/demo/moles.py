"""Draws one mole on skin, and its mask: benign or malignant, as dermatologists' ABCD rule tells them apart.

What is drawn follows one number, how malignant a mole looks (0 to 1): its asymmetry, the raggedness of its border, how
many colours it has and how far they are from its middle, and a little its diameter. Each feature strays from that
number, so that the classes overlap in every single one. The numbers are ours, not measured on patients.
"""

from __future__ import annotations

import cv2
import numpy as np

from skinmtl.data.demo.drawing import BLACK, BROWN, RED, UNIT, WHITE, Scene

BENIGN, MALIGNANT = "benign", "malignant"
LOOKS = {BENIGN: (0.0, 0.3), MALIGNANT: (0.7, 1.0)}  # the range of how malignant a mole of the class looks
SMALLEST, LARGEST = 0.13, 0.36  # the radius, of the photograph's shorter side
BLUE_GREY, DARK = (116, 100, 86), (22, 26, 34)
PATCHES = (DARK, BLUE_GREY, np.add(RED, WHITE) / 2, WHITE, BLACK, np.multiply(RED, 0.6))  # B, G, R
POINTS = 144  # of an outline


def draw_mole(scene: Scene, lesion: str) -> np.ndarray:
    """Paints a mole of the class into the scene; returns its mask, (H, W) uint8 of the canvas, 0 to 255 at its edge.

    The mask is the shape that was painted: hairs that lie over it leave no holes in it.
    """
    rng = scene.rng
    look = rng.uniform(*LOOKS[lesion])
    radius = np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST))) * (0.88 + 0.24 * look)
    centre = scene.spot()
    shape = cv2.fillPoly(scene.blank(), [_outline(rng, look, centre, radius * UNIT)], 255, cv2.LINE_AA, 4)
    colour = scene.look.skin * rng.uniform(0.3, 0.55) * (1 - 0.25 * look) + np.multiply(BROWN, rng.uniform(0, 0.2))
    scene.paint(shape, colour, rng.uniform(0.85, 1.0), rng.uniform(0.004, 0.012))
    _shade_middle(scene, shape, centre, radius, colour)
    for _ in range(rng.binomial(6, _strayed(rng, look, 0.0, 0.7))):
        _patch(scene, shape, centre, radius, look)
    if rng.random_sample() < 0.4:
        starts = rng.uniform(-0.5, 0.5, (rng.randint(3, 16), 2))
        scene.hairs(starts, rng.uniform(0, np.pi) + rng.uniform(-0.5, 0.5, len(starts)), 0.35, 0.006)
    return np.minimum(shape, scene.body)


def _strayed(rng: np.random.RandomState, look: float, low: float, high: float) -> float:
    """A feature between `low` and `high` that follows `look`, give or take an eighth of its range."""
    return low + (high - low) * float(np.clip(look + rng.normal(0, 0.12), 0, 1))


def _outline(rng: np.random.RandomState, look: float, centre: np.ndarray, radius: float) -> np.ndarray:
    """(POINTS, 2) int32 in sixteenths of a pixel: an oval, made lopsided and ragged."""
    turn = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    lopsided, ragged = _strayed(rng, look, 0.0, 0.24), _strayed(rng, look, 0.0, 0.13)
    radii = 1 + rng.uniform(0.02, 0.12) * np.cos(2 * (turn - rng.uniform(0, np.pi)))
    for harmonic, share in ((1, 0.6), (3, 0.7)):
        radii += lopsided * share * np.cos(harmonic * turn + rng.uniform(0, 2 * np.pi))
    for harmonic in range(6, 14):
        radii += ragged * rng.uniform(0.1, 0.55) * np.cos(harmonic * turn + rng.uniform(0, 2 * np.pi))
    points = centre + np.maximum(radii, 0.25)[:, None] * radius * np.stack([np.cos(turn), np.sin(turn)], 1)
    return np.rint(points * 16).astype(np.int32)


def _shade_middle(scene: Scene, shape: np.ndarray, centre: np.ndarray, radius: float, colour: np.ndarray) -> None:
    """A darker or lighter middle, as many moles of either class have."""
    rng = scene.rng
    middle = scene.blob(centre, radius * rng.uniform(0.45, 0.7), 1.3, 0.08)
    scene.paint(np.minimum(middle, shape), colour * rng.uniform(0.6, 1.35), 0.8, radius * 0.12)


def _patch(scene: Scene, shape: np.ndarray, centre: np.ndarray, radius: float, look: float) -> None:
    """A patch of another colour inside the mole, the further from its middle the more malignant it looks."""
    rng, angle = scene.rng, scene.rng.uniform(0, 2 * np.pi)
    away = rng.uniform(0.1, 0.35 + 0.5 * look) * radius * UNIT
    at = centre + away * np.array([np.cos(angle), np.sin(angle)])
    patch = np.minimum(scene.blob(at, radius * rng.uniform(0.18, 0.42), 1.6, 0.15), shape)
    scene.paint(patch, PATCHES[rng.randint(len(PATCHES))], rng.uniform(0.55, 0.9), 0.006)
