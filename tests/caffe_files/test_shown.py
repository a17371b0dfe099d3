"""Names from any file do nothing to a terminal, and stay what they are where they are harmless."""

from __future__ import annotations

import pytest

from caffe_files.shown import shown, shown_with_bars

EMOJI, PERSIAN = "\U0001f469\u200d\u2695\ufe0f", "\u0645\u06cc\u200c\u062e"  # with joiners


@pytest.mark.parametrize("harmless", ["naevus", "a\tb\n", "Nävus, blau", "黒子", EMOJI, PERSIAN, "\\x1b"])
def test_what_is_harmless_stays(harmless):
    assert shown(harmless) == harmless


@pytest.mark.parametrize(
    ("obeyed", "as_text"),
    [
        ("\x1b[2J", "\\x1b[2J"),  # clears the screen
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),  # the same in one character
        ("one\rtwo", "one\\rtwo"),
        ("\0\x08\x7f", "\\x00\\x08\\x7f"),
        ("gpj.\u202etxt", "gpj.\\u202etxt"),
        ("\u2066a\u2069", "\\u2066a\\u2069"),
        ("a\u2028b\x85c", "a\\u2028b\\x85c"),
    ],
)
def test_what_a_terminal_would_obey_is_told(obeyed, as_text):
    assert shown(obeyed) == as_text
    assert shown(as_text) == as_text


def test_a_progress_bar_still_moves():
    assert shown_with_bars("\r50%\x1b[A\n\x1b[2J") == "\r50%\x1b[A\n\\x1b[2J"
