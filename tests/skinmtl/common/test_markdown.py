"""Names stand in Markdown as they are written: no link, no picture, no table cell more."""

from __future__ import annotations

from skinmtl.common.markdown import plain


def test_markup_in_a_name_is_none():
    assert plain("![x](http://a/b)") == r"!\[x\](http://a/b)"
    assert plain("<script>") == r"\<script\>"
    assert plain("a | b\n# c") == r"a \| b \# c"
    assert plain("*a* `b` &amp; ~c~") == r"\*a\* \`b\` \&amp; \~c\~"


def test_a_name_that_looks_like_none_stays():
    assert plain("naevus_blue, 3 mm (left)") == "naevus_blue, 3 mm (left)"


def test_what_a_terminal_would_obey_is_told():
    assert plain("a\x1b[2J") == r"a\\x1b\[2J"
