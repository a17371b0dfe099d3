"""The ready maps: each covers the names of its data set, and all name sites alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from skinmtl.data.manifest import Manifest, Row
from skinmtl.refinement.families import end_of
from skinmtl.refinement.refine import Limits, refine
from skinmtl.refinement.rules import READY_MAPS, combine, read_label_map, ready_maps

FINE = {
    *("scalp", "face", "ears", "neck", "oral mucosa", "chest", "abdomen", "back", "axillae", "arms", "hands"),
    *("buttocks", "anogenital region", "legs", "feet"),
}
COARSE = {"head and neck", "trunk", "upper extremity", "lower extremity", "anogenital region"}
SITES = {
    "scin": {
        *("head_or_neck", "arm", "palm", "back_of_hand", "torso_front", "torso_back", "genitalia_or_groin", "buttocks"),
        *("leg", "foot_top_or_side", "foot_sole", "other"),
    },
    "pad-ufes-20": {
        *("CHEST", "BACK", "ABDOMEN", "FACE", "THIGH", "FOREARM", "HAND", "SCALP", "ARM", "NECK", "EAR", "FOOT", "LIP"),
        "NOSE",
    },
    "ham10000": {
        *("back", "lower extremity", "trunk", "upper extremity", "abdomen", "face", "chest", "foot", "unknown", "neck"),
        *("scalp", "hand", "ear", "genital", "acral"),
    },
    "isic2019": {
        *("anterior torso", "lower extremity", "head/neck", "upper extremity", "posterior torso", "palms/soles"),
        *("oral/genital", "lateral torso"),
    },
    "isic2020": {"head/neck", "upper extremity", "lower extremity", "torso", "palms/soles", "oral/genital"},
    "derm7pt": {
        *("back", "lower limbs", "abdomen", "upper limbs", "chest", "head neck", "acral", "buttocks", "genital areas"),
    },
}
LEFT_ALONE = {
    "scin": {"buttocks"},
    "pad-ufes-20": set(),
    "ham10000": {"lower extremity", "trunk", "upper extremity", "acral"},
    "isic2019": {"lower extremity", "upper extremity", "palms/soles", "oral/genital"},
    "isic2020": {"lower extremity", "upper extremity", "palms/soles", "oral/genital"},
    "derm7pt": {"acral", "buttocks"},
}


def rules_of(*names):
    return combine([read_label_map(name) for name in names])


@pytest.mark.parametrize("name", sorted(SITES))
def test_a_map_has_a_rule_for_each_site_of_its_data_set_but_for_those_that_it_leaves_alone(name):
    rules = rules_of(name).sites
    assert set(rules) == SITES[name] - LEFT_ALONE[name]
    assert {rule.to for rule in rules.values()} - {""} <= FINE | COARSE


def test_dermacon_in_has_49_body_parts():
    rules = rules_of("dermacon-in").sites
    assert len(rules) == 49
    assert {rule.to for rule in rules.values()} == FINE
    assert [rules[name].to for name in ("Nails Fingernails", "Upper Extremities Hands (Manus) Fingers (Digits)")] == [
        "hands",
        "hands",
    ]


def test_isic_archive_has_both_vocabularies_and_each_level_of_the_newer_one():
    rules = rules_of("isic-archive").sites
    assert {site for site in SITES["isic2019"] if site in rules} == set(rules_of("isic2019").sites)
    assert {rules[root].to for root in ("Head and neck", "Trunk", "Upper extremity", "Lower extremity")} < COARSE
    one_path = ("Head and neck", "Head", "Face", "Nose", "Tip of nose")
    assert [rules[name].to for name in one_path] == ["head and neck", "head and neck", "face", "face", "face"]
    assert {rule.to for rule in rules.values()} == FINE | COARSE


@pytest.mark.parametrize("name", ["dermacon-in", "isic-archive", "pad-ufes-20"])
def test_coarse_sites_lead_every_fine_one_to_a_region(name):
    rules = rules_of(name, "coarse-sites").sites
    assert {end_of(site, rules) for site in rules_of(name).sites} <= COARSE


def test_no_rule_of_a_site_needs_another_so_that_the_importer_can_take_them_as_they_are():
    for name in ready_maps():
        rules = rules_of(name).sites
        assert not {rule.to for rule in rules.values()} & set(rules), name


def test_the_papers_rules_and_no_others():
    rules = rules_of("paper-rules")
    assert {rule.name: rule.to for rule in rules.lesions.values()} == dict.fromkeys(
        ("atrophy", "erosion", "ulcer"), "erosion/ulcer/atrophy"
    )
    assert {rule.name: rule.to for rule in rules.sites.values()} == {"nails": "hands", "fingers": "hands"}


def test_the_papers_merge_holds_for_dermacon_in_too():
    rules = rules_of("dermacon-in").lesions
    assert {end_of(name, rules) for name in ("Atrophy", "Erosion", "Ulcer")} == {"erosion/ulcer/atrophy"}


def test_derm7pt_leaves_two_families_and_what_is_of_none():
    names = [rule.name for rule in rules_of("derm7pt").lesions.values()] + ["melanoma", "lentigo"]
    rows = tuple(Row(n + 2, f"{n}.jpg", (name,), "back", str(n)) for n, name in enumerate(names))
    manifest = Manifest(Path("manifest.csv"), rows, tuple(names), ("back",))
    done = refine(manifest, [read_label_map("derm7pt")], Limits(1, 1))
    assert done.steps[-1].lesions == {"nevus": 7, "melanoma": 6, "lentigo": 1}


def test_each_map_is_described_beside_them():
    described = (READY_MAPS / "README.md").read_text(encoding="utf-8")
    for name in ready_maps():
        assert f"`{name}`" in described
