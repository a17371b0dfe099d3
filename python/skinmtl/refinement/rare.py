"""Labels with too few images, dropped until there is none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Mapping, Sequence

from skinmtl.data.manifest import Row
from skinmtl.refinement.relabel import Gone


@dataclass(frozen=True)
class Rare:
    """What is left, and what went: label -> the images that it had when it was dropped.

    `rounds` counts how often labels were dropped; in the last one all of the rest had enough.
    """

    rows: list[Row]
    gone: list[Gone]
    lesions: Mapping[str, int]
    sites: Mapping[str, int]
    rounds: int


def drop_rare(rows: Sequence[Row], lesion_images: int, site_images: int) -> Rare:
    """Drops the lesions with fewer than `lesion_images` images and the sites with fewer than `site_images`.

    Images without a site or a lesion leave, so that other labels may fall below: all that are below go in one round,
    until a round finds none. What is left is the largest part of the labels of which each has enough images, and that
    does not depend on the order: a label that is below stays below whatever else goes.
    """
    left = [dict.fromkeys(row.lesions) for row in rows]
    of_lesion: dict[str, set[int]] = {}
    of_site: dict[str, set[int]] = {}
    for n, row in enumerate(rows):
        of_site.setdefault(row.location, set()).add(n)
        for name in row.lesions:
            of_lesion.setdefault(name, set()).add(n)
    lesions: dict[str, int] = {}
    sites: dict[str, int] = {}
    reasons: dict[int, str] = {}
    rounds = 0
    while True:
        rare_sites = {name: images for name, images in of_site.items() if len(images) < site_images}
        rare_lesions = {name: images for name, images in of_lesion.items() if len(images) < lesion_images}
        if not rare_sites and not rare_lesions:
            break
        rounds += 1
        leaving: dict[int, str] = {}
        for name, images in rare_sites.items():
            sites[name] = len(images)
            leaving.update(dict.fromkeys(images, f"its location has fewer than {site_images:,} images"))
            del of_site[name]
        for name, images in rare_lesions.items():
            lesions[name] = len(images)
            for n in images:
                del left[n][name]
                if not left[n]:
                    leaving.setdefault(n, f"its last lesion has fewer than {lesion_images:,} images")
            del of_lesion[name]
        for n in leaving:
            of_site.get(rows[n].location, set()).discard(n)
            for name in left[n]:
                of_lesion[name].discard(n)
        reasons.update(leaving)
    kept = [
        row if len(row.lesions) == len(left[n]) else replace(row, lesions=tuple(left[n]))
        for n, row in enumerate(rows)
        if n not in reasons
    ]
    return Rare(kept, [Gone(rows[n], reasons[n]) for n in sorted(reasons)], lesions, sites, rounds)
