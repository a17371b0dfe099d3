"""Pictures that no net for skin was trained on: text, landscapes, other organs, patterns, and nothing at all."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import cv2
import numpy as np

HEIGHT, WIDTH = 240, 320
WORDS = [
    "the",
    "quick",
    "notes",
    "of",
    "a",
    "form",
    "that",
    "was",
    "filled",
    "in",
    "by",
    "hand",
    "on",
    "Monday",
    "and",
    "sent",
    "back",
    "with",
    "a",
    "stamp",
    "in",
    "one",
    "corner",
]


def text(random: np.random.RandomState) -> np.ndarray:
    """Lines of words, dark on paper."""
    picture = _filled(random.uniform(215, 255, 3)).astype(np.uint8)
    ink = random.uniform(0, 80, 3)
    size, line = random.uniform(0.4, 0.9), int(random.randint(18, 34))
    for row in range(line, HEIGHT, line):
        said = " ".join(random.choice(WORDS, 8))
        cv2.putText(picture, said, (8, row), cv2.FONT_HERSHEY_SIMPLEX, size, ink.tolist(), 1, cv2.LINE_AA)
    return picture


def landscape(random: np.random.RandomState) -> np.ndarray:
    """A sky that grows paler towards the horizon, ridges of hills, ground with grain."""
    horizon = int(HEIGHT * random.uniform(0.35, 0.65))
    top, low = random.uniform((150, 90, 30), (235, 160, 110)), random.uniform((190, 180, 170), (250, 240, 245))
    way = np.clip(np.arange(HEIGHT) / horizon, 0, 1)[:, None]
    picture = np.repeat((top * (1 - way) + low * way)[:, None], WIDTH, axis=1)
    for depth in range(3):
        colour = random.uniform((40, 70, 40), (110, 140, 90)) * (1 - 0.2 * depth)
        waves = sum(
            random.uniform(4, 18) * np.sin(np.arange(WIDTH) / random.uniform(12, 60) + random.uniform(0, 6))
            for _ in range(3)
        )
        ridge = horizon + depth * HEIGHT * 0.12 + waves
        picture[np.arange(HEIGHT)[:, None] > ridge] = colour
    return _with_grain(picture, random, 5)


def eye_fundus(random: np.random.RandomState) -> np.ndarray:
    """The back of an eye: an orange disc on black, a pale optic disc, vessels that fork."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    centre = (WIDTH // 2, HEIGHT // 2)
    cv2.circle(picture, centre, 112, random.uniform((20, 60, 160), (50, 110, 220)).tolist(), -1)
    nerve = np.array([centre[0] + random.choice([-1, 1]) * random.randint(40, 70), centre[1]], float)
    for _ in range(14):
        at, angle, thick = nerve.copy(), random.uniform(0, 2 * np.pi), random.randint(1, 4)
        for _ in range(30):
            angle += random.uniform(-0.35, 0.35)
            after = at + 5 * np.array([np.cos(angle), np.sin(angle)])
            if np.hypot(*(after - centre)) > 110:
                break
            cv2.line(picture, tuple(at.astype(int)), tuple(after.astype(int)), (25, 30, 110), int(thick), cv2.LINE_AA)
            at = after
    cv2.circle(picture, tuple(nerve.astype(int)), 16, (140, 210, 250), -1)
    return _with_grain(cv2.GaussianBlur(picture, (0, 0), 1.2), random, 3)


def chest_x_ray(random: np.random.RandomState) -> np.ndarray:
    """Grey: a bright spine, two dark lungs, ribs across."""
    picture = np.full((HEIGHT, WIDTH), random.uniform(110, 160), np.uint8)
    for side in (-1, 1):
        lung = (WIDTH // 2 + side * 62, HEIGHT // 2 + 5)
        cv2.ellipse(picture, lung, (44, 92), side * 8, 0, 360, random.uniform(25, 60), -1)
        for rib in range(8):
            at = (lung[0], 40 + 22 * rib)
            cv2.ellipse(picture, at, (66, 16), side * 12, 180, 360, random.uniform(130, 180), 4)
    cv2.rectangle(picture, (WIDTH // 2 - 12, 0), (WIDTH // 2 + 12, HEIGHT), random.uniform(190, 230), -1)
    picture = cv2.GaussianBlur(picture, (0, 0), random.uniform(2, 4))
    return _with_grain(np.repeat(picture[:, :, None], 3, axis=2), random, 4)


def histology(random: np.random.RandomState) -> np.ndarray:
    """A stained section: pink, with many dark purple nuclei."""
    grid = random.standard_normal((12, 16, 1)).astype(np.float32)
    base = cv2.resize(grid, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)[:, :, None]
    picture = random.uniform((185, 140, 210), (225, 180, 245)) + 14 * base
    picture = picture.clip(0, 255).astype(np.uint8)
    for _ in range(random.randint(150, 400)):
        at = (random.randint(WIDTH), random.randint(HEIGHT))
        axes = (random.randint(2, 6), random.randint(2, 6))
        colour = random.uniform((90, 30, 70), (150, 80, 130)).tolist()
        cv2.ellipse(picture, at, axes, random.randint(180), 0, 360, colour, -1, cv2.LINE_AA)
    return _with_grain(picture, random, 5)


def chequers(random: np.random.RandomState) -> np.ndarray:
    """Two colours in squares."""
    side = random.randint(8, 48)
    one, other = random.uniform(0, 255, 3), random.uniform(0, 255, 3)
    squares = (np.arange(HEIGHT)[:, None] // side + np.arange(WIDTH) // side) % 2
    return np.where(squares[:, :, None], one, other)


def noise(random: np.random.RandomState) -> np.ndarray:
    """Every pixel by itself."""
    return random.uniform(0, 255, (HEIGHT, WIDTH, 3))


def black(random: np.random.RandomState) -> np.ndarray:
    """A covered lens: nearly nothing, and a sensor's noise."""
    return _with_grain(np.zeros((HEIGHT, WIDTH, 3)), random, random.uniform(0, 3))


def white(random: np.random.RandomState) -> np.ndarray:
    """Much too much light."""
    return _with_grain(_filled(np.full(3, 255.0)), random, random.uniform(0, 3))


KINDS: dict[str, Callable[[np.random.RandomState], np.ndarray]] = {
    "text": text,
    "landscape": landscape,
    "eye fundus": eye_fundus,
    "chest X-ray": chest_x_ray,
    "histology": histology,
    "chequers": chequers,
    "noise": noise,
    "black": black,
    "white": white,
}


def draw_odd(folder: Path, count: int, seed: int) -> dict[str, list[Path]]:
    """Draws `count` pictures of each kind as PNG files; returns them by kind."""
    found: dict[str, list[Path]] = {}
    for number, (kind, draw) in enumerate(KINDS.items()):
        of_kind = folder / kind.replace(" ", "_")
        of_kind.mkdir(parents=True, exist_ok=True)
        found[kind] = [of_kind / f"{each:03d}.png" for each in range(count)]
        for each, path in enumerate(found[kind]):
            pixels = draw(np.random.RandomState((seed, number, each))).clip(0, 255).astype(np.uint8)
            path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return found


def _filled(colour: np.ndarray) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), colour, np.float32)


def _with_grain(picture: np.ndarray, random: np.random.RandomState, sigma: float) -> np.ndarray:
    return picture + sigma * random.standard_normal((HEIGHT, WIDTH, 1))
