"""Near-duplicates for people and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator

from skinmtl.data.manifest import Manifest
from skinmtl.data.table import write_csv
from skinmtl.splits.near_duplicates import Found, Search

SHOWN = 20
COLUMNS = ("image_a", "image_b", "distance", "group_a", "group_b", "correlation", "mirrored")


def write_pairs(path: Path, manifest: Manifest, found: Found) -> None:
    """A line a pair, nearest first, into a file that is being made."""
    rows = manifest.rows
    records = (
        [
            *(rows[pair.a].image, rows[pair.b].image, pair.distance, rows[pair.a].group, rows[pair.b].group),
            *(f"{pair.correlation:.4f}", "yes" if pair.mirrored else "no"),
        ]
        for pair in found.pairs
    )
    write_csv(path, COLUMNS, records)


def record(manifest: Manifest, found: Found, search: Search) -> dict[str, Any]:
    """What was compared, how, and what was found, for a JSON file."""
    return {
        "hash": "64-bit DCT hash of Zauner (2010), grey, area filter",
        "distance": search.distance,
        "least_correlation": search.correlation,
        "images_compared": int((~found.too_plain).sum()),
        "images_too_plain_to_compare": sorted(manifest.rows[n].image for n in found.too_plain.nonzero()[0]),
        "pairs_with_near_hashes": found.n_near_hashes,
        "pairs": len(found.pairs),
        "pairs_mirrored": sum(pair.mirrored for pair in found.pairs),
        "images_in_pairs": len({row for pair in found.pairs for row in (pair.a, pair.b)}),
    }


# measured on 300 photographs: docs/folds.md has how many of each
LIMITS = (
    "copies that were cut by 1 % a side or more, or turned, may not be among them; a larger --near-duplicates with a "
    "smaller --least-correlation finds more"
)


def lines(recorded: dict[str, Any]) -> Iterator[str]:
    """The record for people; of the images that are too plain SHOWN at most are named."""
    yield (
        f"near-duplicates across groups: {recorded['pairs']} pairs ({recorded['pairs_mirrored']} mirrored) among "
        f"{recorded['images_compared']} images; {recorded['pairs_with_near_hashes']} pairs have hashes at most "
        f"{recorded['distance']} of 64 bits apart, these correlate by {recorded['least_correlation']} or more"
    )
    yield from plain_lines(recorded)


def plain_lines(recorded: dict[str, Any]) -> Iterator[str]:
    """Of a record: which images are too plain to compare, and which copies may not be found."""
    plain = recorded["images_too_plain_to_compare"]
    if plain:
        more = f" and {len(plain) - SHOWN} more" if len(plain) > SHOWN else ""
        are = "image is" if len(plain) == 1 else "images are"
        yield f"{len(plain)} {are} too plain to compare: {', '.join(plain[:SHOWN])}{more}"
    yield LIMITS
