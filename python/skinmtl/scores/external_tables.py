"""An external test as plain text for the screen, or as Markdown: both tests side by side, and what was left out."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any, List, Sequence

from skinmtl.common.markdown import plain
from skinmtl.scores.gaps import KEY, OF_SET
from skinmtl.scores.label_figures import FIGURES, MEANS
from skinmtl.scores.label_tables import WORDS
from skinmtl.scores.tables import as_number, columns, with_range

OF_SET_WORDS = dict(zip(OF_SET, ("mAP-class", "mAP-image", "accuracy", "balanced accuracy", "mean AUROC")))
MOVING = (
    "AP, Brier, PPV, NPV, the mAPs and accuracy move with the prevalence, which differs: hold them against chance; "
    "AUROC, sensitivity and specificity do not"
)
CHOSEN_BEFORE = "nothing was chosen on the external images: net, calibration and thresholds are as they were before"

Rows = List[List[str]]


def external_lines(figures: dict[str, Any]) -> list[str]:
    """For the screen, below the figures of the external images."""
    lines = []
    for rows in tables(figures):
        lines += [*(line.rstrip() for line in columns(rows)), ""]
    return [*lines, *notes(figures)]


def markdown(figures: dict[str, Any], facts: Sequence[str]) -> str:
    """A page: `facts` first, a line each, then the tables and the notes."""
    parts = ["# Internal and external test", "", *(f"- {plain(fact)}" for fact in facts), ""]
    for rows in tables(figures):
        head, *body = ([plain(cell) for cell in row] for row in rows)
        parts += [_row(head), _row(["---", *["---:"] * (len(head) - 1)]), *map(_row, body), ""]
    parts += [f"- {plain(note)}" for note in notes(figures)]
    return "\n".join(parts) + "\n"


def tables(figures: dict[str, Any]) -> list[Rows]:
    """The figures of the set, then those of each lesion; of no internal test there is nothing to stand beside."""
    own = figures["external_test"].get("internal")
    if own is None:
        return []
    of_set, of_lesions = [_head(figures, "figure")], [_head(figures, "lesion, figure")]
    for name, words in OF_SET_WORDS.items():
        if figures.get(name) is not None or own.get(name) is not None:
            chances = [0.5 if name in MEANS.values() else each.get(f"chance_{name}") for each in (own, figures)]
            of_set.append(_cells(figures, words, chances, name))
    blank = [""] if figures.get("bootstrap") else []
    for lesion in figures[KEY]:
        pair = [each[KEY][lesion] for each in (own, figures)]
        prevalence = [f"{as_number(each['prevalence'])} ({each['n_positive']})" for each in pair]
        row = [cell for each in prevalence for cell in (each, *blank, "")]
        of_lesions.append([f"{lesion}: prevalence (images)", *row, "", *blank])
        for figure in FIGURES:
            if any(each.get(figure) is not None for each in pair):
                chances = [each["ece_if_calibrated"] if figure == "ece" else each["chance"][figure] for each in pair]
                of_lesions.append(_cells(figures, f"{lesion}: {WORDS[figure]}", chances, KEY, lesion, figure))
    return [of_set, of_lesions]


def notes(figures: dict[str, Any]) -> list[str]:
    """What was compared and what was left out, a line each."""
    test = figures["external_test"]
    own = test.get("internal")
    lines = []
    if own is not None:
        lines += [
            f"internal: {_images(own)}; external: {_images(figures)}",
            "gap: external less internal; the two sets are resampled each by itself"
            if figures.get("bootstrap")
            else "gap: external less internal",
            "by chance: without looking; of ECE, what right probabilities would have on as many images",
            "of Brier score and ECE less is better",
            MOVING,
        ]
    lines.append(f"common lesions, which alone are measured: {', '.join(test['lesions'])}")
    merged: dict[str, str] = {}
    for lesion in test["data_lesions"]:
        if lesion["as"] is not None:
            before = f"{merged[lesion['as']]} + " if lesion["as"] in merged else f"{lesion['as']}: "
            merged[lesion["as"]] = f"{before}{lesion['name']} ({lesion['images']})"
    if test["label_map"] is not None:
        lines.append(f"the data's lesions (images): {'; '.join(merged.values())}")
    left_out = [f"{each['name']} ({each['images']})" for each in test["data_lesions"] if each["as"] is None]
    lines.append(f"lesions of the data that are left out (images): {', '.join(left_out) or 'none'}")
    lines.append(f"lesions of the net that are left out: {', '.join(test['model_lesions_left_out']) or 'none'}")
    for name, files in test["without_image"].items():
        lines.append(f"{name}: left out, since {' and '.join(files)} has no image of it")
    lines.append(_left_out("external", figures["n_images"], test))
    if own is not None:
        lines.append(_left_out("internal", own["n_images"], own))
    lines += [f"locations: {test['locations']}", CHOSEN_BEFORE]
    lines.append(
        "photographs that stand in both sets would make this no external test: tools/leakage.py --against finds them"
    )
    return lines


def facts(figures: dict[str, Any], path: PurePath) -> list[str]:
    """Net, files and protocol, a line each, for a page of its own."""
    test, protocol = figures["external_test"], figures["protocol"]
    shown = {name: protocol.get(name) for name in ("net", "weights_sha256", "short_side", "crop", "crops")}
    lines = [", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in shown.items() if value is not None)]
    lines.append(f"external: {path}, sha256 {figures['scores_sha256']}{_seen(figures['seen'])}")
    if test.get("internal") is not None:
        own = test["internal"]
        lines.append(f"internal: {own['file']}, sha256 {own['scores_sha256']}{_seen(own['seen'])}")
    if test["label_map"] is not None:
        lines.append(f"label map: {test['label_map']['file']}, sha256 {test['label_map']['sha256']}")
    if figures.get("bootstrap"):
        made = figures["bootstrap"]
        lines.append(f"{100 * made['level']:g} % intervals of {made['resamples']} resamples, seed {made['seed']}")
    if figures.get("thresholds"):
        made = figures["thresholds"]
        lines.append(f"thresholds: {made['rule']}, chosen on {made['n_images']} {made['chosen_on']}")
    if figures.get("calibration"):
        made = figures["calibration"]
        lines.append(f"calibrated ({made['words']}), fitted on {made['n_images']} {made['fitted_on']}")
    return lines


def _head(figures: dict[str, Any], first: str) -> list[str]:
    interval = [f"{100 * figures['bootstrap']['level']:g} % interval"] if figures.get("bootstrap") else []
    return [first, "internal", *interval, "by chance", "external", *interval, "by chance", "gap", *interval]


def _cells(figures: dict[str, Any], words: str, chances: Sequence[float | None], *names: str) -> list[str]:
    """The row of the figure that lies below `names`."""
    test, drawn = figures["external_test"], bool(figures.get("bootstrap"))
    row = [words]
    for each, chance in zip((test["internal"], figures), chances):
        value = _of(each, names)
        row += [as_number(value), *([with_range(value, _of(each["intervals"], names))] if drawn else [])]
        row.append(as_number(chance))
    gap = _of(test["gaps"], names)
    row.append("-" if gap is None else f"{gap:+.3f}")
    if drawn:
        ends = _of(test["gap_intervals"], names)
        row.append(with_range(gap, None) if ends is None else f"{ends[0]:+.3f} to {ends[1]:+.3f}")
    return row


def _of(nested: Any, names: Sequence[str]) -> Any:
    for name in names:
        nested = (nested or {}).get(name)
    return nested


def _images(figures: dict[str, Any]) -> str:
    made = figures.get("bootstrap")
    groups = f" of {made['n_groups']} groups" if made and made["n_groups"] != figures["n_images"] else ""
    return f"{figures['n_images']} images{groups}"


def _left_out(which: str, n: int, counts: dict[str, Any]) -> str:
    out, others = counts["n_images_left_out"], counts["n_images_with_others"]
    more = f"; {others} of the others have one of these lesions too, which is not looked at" if others else ""
    return f"{which} images left out, since all of their lesions are: {out} of {n + out}{more}"


def _seen(seen: Sequence[str]) -> str:
    return f" ({'; '.join(seen)})" if seen else ""


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
