"""Label maps: what a line means, and what each mistake in a map is told."""

from __future__ import annotations

import pytest

from caffe_files.errors import InputError
from skinmtl.refinement.rules import KINDS, combine, kinds_of, read_label_map, ready_maps


@pytest.fixture
def write_map(tmp_path):
    """Writes a map of these lines below its header; returns its path as the command line would give it."""

    def write(*lines, name="map.csv", header="from,to,kind"):
        path = tmp_path / name
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return str(path)

    return write


class TestReading:
    def test_each_line_is_a_rule_that_knows_where_it_stands(self, write_map):
        path = write_map("papule,other papule,lesion-family", "noise,,lesion-drop")
        read = read_label_map(path)
        assert [(rule.name, rule.to, rule.kind) for rule in read.rules] == [
            ("papule", "other papule", "lesion-family"),
            ("noise", "", "lesion-drop"),
        ]
        assert read.rules[1].where == f"{path}:3"
        assert kinds_of(read) == "1 lesion-family, 1 lesion-drop"

    def test_columns_in_any_order_and_others_beside_them(self, write_map):
        path = write_map("why not,hands,site-merge,nails", header="note,to,kind,from")
        assert [(rule.name, rule.to) for rule in read_label_map(path).rules] == [("nails", "hands")]

    def test_spaces_around_names_do_not_count(self, write_map):
        rule = read_label_map(write_map(" big papule ,  papule,lesion-merge ")).rules[0]
        assert (rule.name, rule.to, rule.kind) == ("big papule", "papule", "lesion-merge")

    def test_a_lesion_and_a_location_of_one_name_have_a_rule_each(self, write_map):
        rules = combine([read_label_map(write_map("scar,old scar,lesion-merge", "scar,face,site-merge"))])
        assert (rules.lesions["scar"].to, rules.sites["scar"].to) == ("old scar", "face")

    def test_a_ready_map_by_its_name(self):
        read = read_label_map("paper-rules")
        assert (read.source, read.path) == ("paper-rules", ready_maps()["paper-rules"])
        assert read.rules[0].where == "paper-rules:2"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["a,b,lesion-merg"], ":2: no kind 'lesion-merg'; did you mean lesion-merge?"),
        (["a,b,xyzzy"], f":2: no kind 'xyzzy'; one of {', '.join(KINDS)}"),
        ([",b,lesion-merge"], ":2: 'from' is empty"),
        (["a,,lesion-merge"], ":2: 'to' is empty; name the label that 'a' turns into, or use lesion-drop"),
        (["a,,site-merge"], "or use site-drop"),
        (["a,b,lesion-drop"], ":2: a lesion-drop leads nowhere, but 'to' is 'b'; empty it"),
        (["a,a,lesion-merge"], ":2: 'a' turns into itself"),
        (["a,b;c,lesion-merge"], ":2: 'b;c' has a ';'"),
        (['"a\rb",c,lesion-merge'], "control character in 'a\\rb'"),
        (["a,b,lesion-merge", "c,d,lesion-merge", "a,e,lesion-family"], ":4: 'a' has a rule on line 2 too; keep one"),
        (["a,b,lesion-merge", "a,b,lesion-merge"], ":3: 'a' has a rule on line 2 too; keep one"),
        (["a,b"], ":2: 2 fields where the header has 3"),
        ([], "no rules"),
    ],
)
def test_a_mistake_is_told_with_its_line(write_map, lines, told):
    path = write_map(*lines)
    with pytest.raises(InputError) as error:
        read_label_map(path)
    assert str(error.value).startswith(path)
    assert told in str(error.value)


def test_a_column_that_is_missing(write_map):
    with pytest.raises(InputError, match=r":1: no column 'kind' \('Kinds' is near\)"):
        read_label_map(write_map("a,b,lesion-merge", header="from,to,Kinds"))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("dermacon_in", "no such file, and no ready map; did you mean dermacon-in?"),
        ("maps/xyzzy.csv", "no such file, and no ready map; the ready maps are .*paper-rules"),
    ],
)
def test_a_map_that_is_not_there(name, told):
    with pytest.raises(InputError, match=told):
        read_label_map(name)


class TestCircles:
    @pytest.mark.parametrize(
        ("lines", "told"),
        [
            (["a,b,lesion-merge", "b,a,lesion-merge"], "map.csv:2: rules lead round in a circle: a -> b -> a;"),
            (["x,a,lesion-merge", "a,b,lesion-family", "b,a,lesion-merge"], "map.csv:3: .*: a -> b -> a;"),
            (["a,b,site-merge", "b,c,site-merge", "c,a,site-merge"], ": a -> b -> c -> a;"),
        ],
    )
    def test_rules_that_lead_round_in_a_circle(self, write_map, lines, told):
        with pytest.raises(InputError, match=told):
            combine([read_label_map(write_map(*lines))])

    def test_a_long_one_is_told_shortly(self, write_map):
        lines = [f"n{i},n{(i + 1) % 500},lesion-merge" for i in range(500)]
        with pytest.raises(InputError, match=r"n0 -> n1 -> n2 -> n3 -> n4 -> n5 -> \.\.\. -> n0;"):
            combine([read_label_map(write_map(*lines))])

    def test_over_two_maps(self, write_map):
        one, two = write_map("a,b,lesion-merge"), write_map("b,a,lesion-merge", name="two.csv")
        with pytest.raises(InputError, match="circle"):
            combine([read_label_map(one), read_label_map(two)])

    def test_a_long_chain_is_none(self, write_map):
        lines = [f"n{i},n{i + 1},lesion-merge" for i in range(20_000)]
        assert len(combine([read_label_map(write_map(*lines))]).lesions) == 20_000


class TestSeveralMaps:
    def test_the_later_map_counts_and_the_earlier_rule_is_remembered(self, write_map):
        maps = [
            read_label_map(write_map("a,b,lesion-merge", "c,d,lesion-merge")),
            read_label_map(write_map("a,,lesion-drop", name="mine.csv")),
        ]
        rules = combine(maps)
        assert rules.lesions["a"].kind == "lesion-drop"
        assert [(earlier.to, later.to) for earlier, later in rules.replaced] == [("b", "")]

    def test_the_same_rule_twice_replaces_nothing(self, write_map):
        maps = [read_label_map(write_map("a,b,lesion-merge", name=name)) for name in ("one.csv", "two.csv")]
        assert combine(maps).replaced == ()
