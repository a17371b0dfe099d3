"""All steps of the refinement against a slow reference, and how long they take."""

from __future__ import annotations

from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_labels import manifest_of, map_of

from caffe_files.errors import InputError
from skinmtl.refinement.refine import Limits, refine


def slowly(rows, lesion_rules, site_rules, limits, pick):
    """The same by brute force: image -> (lesions, location), one label at a time, counted anew each time."""
    images = {n: (set(of), at) for n, (of, at) in enumerate(rows)}

    def turn(old, new):
        for n, (of, at) in list(images.items()):
            if old in of:
                images[n] = ((of - {old}) | ({new} if new else set()), at)
        for n, (of, _) in list(images.items()):
            if not of:
                del images[n]

    for n, (of, at) in list(images.items()):
        while at in site_rules:
            at = site_rules[at][0]
        images[n] = (of, at)
        if not at:
            del images[n]
    for old, (new, kind) in sorted(lesion_rules.items()):  # a rule leads to a later letter
        if kind != "lesion-family":
            turn(old, new)
    for old, (new, kind) in sorted(lesion_rules.items()):
        if kind == "lesion-family" and sum(old in of for of, _ in images.values()) <= limits.keep_over:
            while new in lesion_rules and lesion_rules[new][1] != "lesion-family":
                new = lesion_rules[new][0]
            turn(old, new)
    while True:
        lesions = [name for of, _ in images.values() for name in of]
        sites = [at for _, at in images.values()]
        low = [name for name in set(lesions) if lesions.count(name) < limits.lesion_images]
        low_sites = [name for name in set(sites) if sites.count(name) < limits.site_images]
        if not low and not low_sites:
            return images
        name = sorted(low + low_sites)[pick % len(low + low_sites)]
        if name in low:
            turn(name, "")
        else:
            images = {n: (of, at) for n, (of, at) in images.items() if at != name}


def some_rules(names, kinds):
    """name -> (to, kind), where `to` comes later in the alphabet, so that no rules lead round in a circle."""

    def rule(name):
        later = st.sampled_from([other for other in names if other > name] + ["~new"])
        return st.sampled_from(kinds).flatmap(
            lambda kind: st.tuples(st.just("") if kind.endswith("drop") else later, st.just(kind))
        )

    some = st.lists(st.sampled_from(names), unique=True, max_size=len(names))
    return some.flatmap(lambda chosen: st.fixed_dictionaries({name: rule(name) for name in chosen}))


@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from("abcdefgh"), min_size=1, max_size=3).map(sorted), st.sampled_from("uvwxyz")),
        min_size=1,
        max_size=30,
    ),
    some_rules("abcdefgh", ("lesion-merge", "lesion-family", "lesion-family", "lesion-drop")),
    some_rules("uvwxyz", ("site-merge", "site-drop")),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(3, 6),
    st.integers(0, 1000),
)
@settings(deadline=None, max_examples=60)
def test_all_steps_against_a_slow_reference(
    rows, lesion_rules, site_rules, lesion_images, site_images, keep_over, pick
):
    limits = Limits(lesion_images, site_images, keep_over)
    rules = [(name, to, kind) for of in (lesion_rules, site_rules) for name, (to, kind) in of.items()]
    expected = slowly(rows, lesion_rules, site_rules, limits, pick)
    manifest = manifest_of(rows, lesions="abcdefgh", sites="uvwxyz")
    maps = [map_of(*rules)] if rules else []
    if not expected:
        with pytest.raises(InputError, match="no image would be left"):
            refine(manifest, maps, limits)
        return
    done = refine(manifest, maps, limits)
    found = {int(row.image[:-4]): (set(row.lesions), row.location) for row in done.manifest.rows}
    assert found == expected
    assert sorted([*found, *(int(gone.row.image[:-4]) for gone in done.gone)]) == list(range(len(rows)))
    assert (
        set(done.manifest.lesion_names) == set(done.steps[-1].lesions) == set().union(*(of for of, _ in found.values()))
    )
    assert set(done.manifest.location_names) == set(done.steps[-1].sites) == {at for _, at in found.values()}
    assert min(done.steps[-1].lesions.values()) >= lesion_images
    assert [fate.label for fate in done.lesions + done.sites] == list("abcdefghuvwxyz")
    for fate in done.lesions + done.sites:
        assert (fate.outcome == "dropped") == (fate.into == "")
        assert (fate.outcome == "kept") == (fate.into == fate.label)
    assert {fate.into for fate in done.lesions if fate.into} == set(done.manifest.lesion_names)
    again = refine(done.manifest, [], limits)
    assert (again.manifest, again.gone) == (done.manifest, ())


def test_100_000_images_take_seconds():
    random = np.random.RandomState(1)
    names = [f"lesion {n}" for n in range(1000)]
    drawn = random.zipf(1.3, (100_000, 3)) % len(names)
    rows = [([names[p] for p in dict.fromkeys(three.tolist())], f"site {three[0] % 60}") for three in drawn]
    manifest = manifest_of(rows)
    rules = map_of(*((name, f"family {n % 40}", "lesion-family") for n, name in enumerate(names)))
    start = process_time()
    refine(manifest, [rules], Limits())
    assert process_time() - start < 10
