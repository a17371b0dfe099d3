"""The one rule for names, and the one table of words that mean nothing."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skinmtl.data.names import look_alike_groups, look_alikes, name_fault, spelled, told, without_faults
from skinmtl.data.nothing import Nothings

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
HEALTH_WORKER = "\U0001f469\u200d\u2695\ufe0f"
PERSIAN = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"  # "I want": the non-joiner is part of the word
SINHALA = "\u0dc1\u0dca\u200d\u0dbb\u0dd3"  # "Sri": the joiner makes one sign of two letters


@pytest.mark.parametrize(
    "space", ["\u00a0", "\u3000", "\u2003", "\u2009", "\u202f", "\u2028", "\u205f", "  ", " \u00a0 "]
)
def test_every_kind_of_space_is_one_plain_space(space):
    assert spelled(f"{space}blue{space}naevus{space}") == "blue naevus"


def test_letters_are_composed():
    assert spelled("nae\u0300vus") == "na\u00e8vus"


@pytest.mark.parametrize(
    "name", [FAMILY, HEALTH_WORKER, PERSIAN, SINHALA, "n\u00e6vus", "\u75e3", "5 % (b)", "a\U000e0100"]
)
def test_what_languages_and_emoji_need_is_kept(name):
    assert name_fault(name) == ""
    assert without_faults(name) == spelled(name) == name


@pytest.mark.parametrize(
    "character, words",
    [
        ("\n", "control character"),
        ("\x85", "control character"),
        ("\x1b", "control character"),
        ("\ud800", "control character"),
        ("\u00ad", "invisible character (U+00AD)"),
        ("\u200b", "invisible character (U+200B)"),
        ("\ufeff", "invisible character (U+FEFF)"),
        ("\u2060", "invisible character (U+2060)"),
        ("\u202e", "changes the direction of writing (U+202E)"),
        ("\u2066", "changes the direction of writing (U+2066)"),
        ("\u200f", "changes the direction of writing (U+200F)"),
        ("\u200c", "joiner that joins nothing (U+200C)"),
        ("\u200d", "joiner that joins nothing (U+200D)"),
    ],
)
def test_what_cannot_be_seen_has_no_place_in_a_name(character, words):
    assert words in name_fault(f"nae{character}vus")
    assert without_faults(f"nae{character}vus") in ("naevus", "nae vus")


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.text(max_size=12))
def test_a_name_that_was_mended_is_a_name_in_its_one_spelling(text):
    name = without_faults(text)
    assert name_fault(name) == ""
    assert spelled(name) == name == unicodedata.normalize("NFC", name)
    assert without_faults(name) == name


@pytest.mark.parametrize(
    "word",
    ["", " ", "nan", "NaN", "N/A", "n.a.", "#N/A", "#REF!", "-", "?", ".", "null", "None", "UNKNOWN", "\u2014", "<NA>"],
)
def test_words_that_mean_nothing(word):
    assert Nothings().is_one(word)
    assert Nothings().known(word) == ""


@pytest.mark.parametrize("word", ["NA-1", "naevus", "other", "0", "no", "unknown primary", "nano", "none seen"])
def test_words_that_are_names(word):
    assert Nothings().known(word) == word


def test_a_word_that_is_kept_is_a_name_and_the_others_are_counted():
    nothings = Nothings(["NONE"])
    assert [nothings.known(word, "lesion") for word in ("none", "nan", "NaN", "", "naevus")] == [
        "none",
        "",
        "",
        "",
        "naevus",
    ]
    assert nothings.notes("m.csv", "lesion", "left out") == [
        "m.csv: lesion: 'nan' (1), 'NaN' (1) stand for no value: left out"
    ]
    assert nothings.notes("m.csv", "location", "left out") == []


@pytest.mark.parametrize(
    "alike",
    [
        ("P1", "p1"),
        ("12", "12.0"),
        ("007", "7"),
        ("P-7", "P 7", "p_007"),
        ("Case A", "case  a"),
        ("\uff11\uff12", "12"),
    ],
)
def test_groups_that_may_be_one_patient(alike):
    assert look_alike_groups(alike) == [alike]


@pytest.mark.parametrize("apart", [("1-23", "12-3"), ("12", "120"), ("P1", "Q1"), ("-", "--"), ("12.5", "12")])
def test_groups_that_are_two_patients(apart):
    assert look_alike_groups(apart) == []


def test_look_alikes_are_told_with_examples():
    assert look_alikes(["Naevus", "naevus", "BCC", "B.C.C."]) == [("Naevus", "naevus"), ("BCC", "B.C.C.")]
    assert told([], "group") == ""
    many = [(f"P{n}", f"p{n}") for n in range(5)]
    assert told(many, "group").endswith("'P2', 'p2'; and 2 more")
