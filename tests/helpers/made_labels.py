"""Small manifests and label maps for the tests of the refinement."""

from __future__ import annotations

from pathlib import Path

from skinmtl.data.manifest import Manifest, Row
from skinmtl.refinement.rules import LabelMap, Rule


def manifest_of(rows, lesions=None, sites=None):
    """`rows` are (lesions, location): a letter for each lesion, or a list of their names."""
    made = tuple(
        Row(n + 2, f"{n}.jpg", tuple(of), at, f"g{n // 2}", {"age": str(n)}) for n, (of, at) in enumerate(rows)
    )
    lesions = sorted({name for row in made for name in row.lesions}) if lesions is None else lesions
    sites = sorted({row.location for row in made}) if sites is None else sites
    return Manifest(Path("manifest.csv"), made, tuple(lesions), tuple(sites))


def map_of(*rules, source="map.csv"):
    """`rules` are (from, to, kind)."""
    return LabelMap(source, Path(source), tuple(Rule(*rule, source, line) for line, rule in enumerate(rules, 2)))
