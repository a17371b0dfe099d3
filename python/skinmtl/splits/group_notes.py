"""What a manifest's groups leave open, in words: images without one, groups that may be one under two spellings."""

from __future__ import annotations

from skinmtl.data.manifest import Manifest
from skinmtl.data.names import look_alike_groups, told


def notes_on_groups(manifest: Manifest, so: str) -> list[str]:
    """A line each, or none; `so` says what follows for images without a group."""
    notes = []
    alone, images = manifest.without_group, len(manifest.rows)
    if alone == images:
        notes.append(f"no image has a group, so each is taken to be of another patient: {so}")
    elif alone:
        notes.append(f"{alone} of {images} images have no group, so each is taken to be of another patient: {so}")
    alike = told(look_alike_groups(row.group for row in manifest.rows if row.group != row.image), "group")
    return [*notes, *filter(None, [alike])]
