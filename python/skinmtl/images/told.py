"""What a person should know of images that are used all the same: said once a kind, with how many and which."""

from __future__ import annotations

import sys
from typing import Iterable, Iterator, Mapping, Sequence

from tqdm import tqdm

NAMED = 3  # images in a line


class Told:
    """What was told of which images, in the order in which it came."""

    def __init__(self) -> None:
        self._images: dict[str, dict[str, None]] = {}

    def add(self, image: str, lines: Iterable[str]) -> None:
        """Each image once a line, however often it comes."""
        for line in lines:
            self._images.setdefault(line, {})[image] = None

    def images(self) -> dict[str, list[str]]:
        """Line -> the images."""
        return {line: list(images) for line, images in self._images.items()}

    def write(self) -> None:
        """The lines on stderr, above a progress bar."""
        for line in counted_lines(self.images()):
            tqdm.write(line, file=sys.stderr)


def counted_lines(told: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yields of line -> images such as `2 images: its colours ... (a.jpg, b.jpg)`."""
    for line, images in told.items():
        shown = ", ".join(images[:NAMED]) + (f" and {len(images) - NAMED} more" if images[NAMED:] else "")
        yield f"{len(images)} image{'s' if len(images) > 1 else ''}: {line} ({shown})"
