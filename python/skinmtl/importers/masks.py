"""The masks that rows name, found among a folder's files as images are, and which images have none."""

from __future__ import annotations

from pathlib import Path

from skinmtl.importers.files import Files, Images

NOT_THERE = "no such file"
AMBIGUOUS = "several files of that name whose bytes differ"


class Masks:
    """Finds masks below a folder.

    root      what the masks' names in the manifest are relative to
    missing   image -> why it has no mask, of the rows that `find` was asked for
    """

    def __init__(self, files: Files) -> None:
        self._files = Images(files, ".png")
        self.root: Path = files.root
        self.missing: dict[str, str] = {}

    def find(self, image: str, asked: str) -> str:
        """The mask's name below the root; "" where there is none, which is noted for the image."""
        found = self._files.find(asked) if asked else []
        if len(found) == 1:
            return found[0]
        unread = self._files.why_unread(asked) if asked and not found else ""
        self.missing[image] = f"{AMBIGUOUS}: {'; '.join(found)}" if found else unread or NOT_THERE
        return ""
