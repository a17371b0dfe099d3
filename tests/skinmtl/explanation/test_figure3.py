"""Figure 3 from its files: every part in its place, frames by what is shared, and one line where files disagree."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.textpath import TextPath

from caffe_files.errors import InputError
from skinmtl.data.manifest import read_manifest
from skinmtl.explanation.attention_file import AttentionFile, HeadAttention, new_attention_file
from skinmtl.explanation.retrieval_figure import FigureInputs, draw, read_neighbours
from skinmtl.figures import retrieval_rows
from skinmtl.figures.retrieval_rows import CELL, FRAME_RED, MOST_LINES, TEXT_SIZE, Picture, PictureRow
from skinmtl.figures.style import GREEN

NAMES = {"lesion": ["melanoma", "naevus", "scar $1"], "location": ["arm", "leg"]}
LABELS = [("naevus", "arm"), ("melanoma", "leg"), ("naevus;scar $1", "arm"), ("scar $1", "leg"), ("melanoma", "arm")]
SEEN = {"images": 2, "trained": 1, "watched": 0, "same_name": 0, "same_group": 0}
HEADER = "query,rank,neighbour,distance,shared_lesion,shared_location\n"


def write_attention(path, images, maps=None):
    """Images name -> (H, W); the labels of the maps are those of LABELS, by the number in the image's name."""
    with new_attention_file(path) as file:
        for image, shape in images.items():
            lesions, location = LABELS[int(image.split(".")[0])]
            heads = {}
            for head, labels in (("lesion", tuple(lesions.split(";"))), ("location", (location,))):
                values = np.random.RandomState(len(image)).rand(len(labels), *shape).astype(np.float32)
                probabilities = np.linspace(0.25, 0.75, len(NAMES[head]), dtype=np.float32)
                heads[head] = HeadAttention(labels, values if maps is None else maps, probabilities)
            file.add(image, heads)
        file.finish(NAMES, {"short_side": 20, "trained_on": SEEN})


@pytest.fixture
def files(tmp_path):
    """Five images of 40 x 60; images 0 and 1 are queries with neighbours 2, 3, 4, and have attention."""
    (tmp_path / "images").mkdir()
    lines = ["image,lesions,location"]
    for n, (lesions, location) in enumerate(LABELS):
        pixels = np.full((40, 60, 3), 40 * n, np.uint8)
        cv2.imwrite(str(tmp_path / "images" / f"{n}.png"), pixels)
        lines.append(f"{n}.png,{lesions},{location}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "neighbours.csv").write_text(
        HEADER + "0.png,1,2.png,0.5,1,1\n0.png,2,3.png,0.75,0,0\n0.png,3,4.png,1e3,0,1\n"
        "1.png,1,4.png,0,1,0\n1.png,2,3.png,2,0,1\n1.png,3,2.png,3,0,0\n"
    )
    (tmp_path / "attention").mkdir()
    write_attention(tmp_path / "attention" / "attention.npz", {"1.png": (20, 30), "0.png": (20, 30)})

    def inputs():
        attention = AttentionFile(tmp_path / "attention" / "attention.npz")
        return FigureInputs(
            attention, tmp_path / "neighbours.csv", read_manifest(tmp_path / "manifest.csv"), tmp_path / "images"
        )

    return SimpleNamespace(
        folder=tmp_path,
        inputs=inputs,
        neighbours=tmp_path / "neighbours.csv",
        npz=tmp_path / "attention" / "attention.npz",
        flags=(
            *("--attention", tmp_path / "attention", "--neighbours", tmp_path / "neighbours.csv"),
            *("--manifest", tmp_path / "manifest.csv", "--images", tmp_path / "images"),
        ),
    )


def test_the_tool_writes_both_formats_and_what_made_them(tool, files):
    out = files.folder / "out" / "figure3"
    done = tool("figure3.py", *files.flags, "--out", f"{out}.png", "--out", f"{out}.svg", "--rows", 1)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}.png and {out}.svg: 1 of the 2 images that have both attention and neighbours\n"
    assert cv2.imread(f"{out}.png").std() > 0
    svg = (files.folder / "out" / "figure3.svg").read_text()
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    for head in ("query", "lesion attention", "location attention", *(f"neighbour {n}" for n in (1, 2, 3))):
        assert texts.count(head) == 1
    for caption in ("0.25 melanoma", "0.75 leg", "melanoma", "[leg]", "naevus, scar $1", "1.png"):
        assert caption in texts
    assert svg.count("<image") == 3 + 3 + 1  # pictures and the colours' legend
    said = json.loads((files.folder / "out" / "figure3.json").read_text())
    assert [row["query"] for row in said["rows"]] == ["1.png"]  # the attention's first
    assert [one["shared_lesion"] for one in said["rows"][0]["neighbours"]] == [True, False, False]
    assert said["arguments"]["rows"] == 1
    assert said["seen"] == ["1 of the 2 images was trained on"]
    assert done.stderr == f"figure3.py: {files.npz}: 1 of the 2 images was trained on\n"
    assert len(said["inputs"][str(files.neighbours)]) == 64


def frames_of(figure):
    """From the upper left: the pictures' frames, then the legend's."""
    frames = [one for one in figure.findobj(Rectangle) if one.get_linewidth() > 2]
    return sorted(frames, key=lambda frame: (-round(frame.get_y(), 1), frame.get_x()))


def test_a_frame_is_green_and_solid_where_a_lesion_is_shared_else_red_and_dotted(files):
    frames = frames_of(retrieval_rows.retrieval_rows(files.inputs().picture_rows(["0.png"]), ["query", "a", "b"]))
    expected = [GREEN, FRAME_RED, FRAME_RED, GREEN, FRAME_RED]
    assert [to_hex(frame.get_edgecolor()) for frame in frames] == expected
    assert [frame.get_linestyle() in ("-", "solid") for frame in frames] == [colour == GREEN for colour in expected]


def test_the_legend_has_only_the_frames_that_there_are(files):
    files.neighbours.write_text(HEADER + "0.png,1,2.png,0.5,1,1\n")
    frames = frames_of(retrieval_rows.retrieval_rows(files.inputs().picture_rows(["0.png"]), ["query", "a", "b"]))
    assert [to_hex(frame.get_edgecolor()) for frame in frames] == [GREEN, GREEN]


def test_a_map_is_in_grey_where_all_of_its_labels_are_all_but_excluded(files):
    cv2.imwrite(str(files.folder / "images" / "0.png"), np.full((40, 60, 3), (60, 90, 200), np.uint8))
    for of_naevus, is_grey in ((0.04, True), (0.06, False)):
        with new_attention_file(files.npz) as file:
            values = np.random.RandomState(1).rand(1, 20, 30).astype(np.float32)
            probabilities = np.array([0.9, of_naevus, 0.9], np.float32)
            file.add("0.png", {"lesion": HeadAttention(("naevus",), values, probabilities)})
            file.finish({"lesion": NAMES["lesion"]}, {})
        (row,) = files.inputs().picture_rows(["0.png"])
        assert (np.ptp(row.of_query[1].image.astype(int), axis=2).max() == 0) == is_grey
        assert list(row.of_query[1].captions) == [f"{of_naevus:.2f} naevus"]


def test_pictures_have_the_pixels_that_the_figure_has(files):
    cv2.imwrite(str(files.folder / "images" / "0.png"), np.zeros((800, 1200, 3), np.uint8))
    (row,) = files.inputs().picture_rows(["0.png"])
    figure = retrieval_rows.retrieval_rows([row], ["query", "a", "b"])
    assert figure.axes[0].images[0].get_array().shape[1] == retrieval_rows.THUMBNAIL
    assert retrieval_rows.THUMBNAIL >= CELL * retrieval_rows.DPI


@pytest.mark.parametrize("size", [(40, 60), (60, 40), (50, 50), (8, 100)])
def test_a_picture_keeps_its_aspect(size):
    row = PictureRow("q", [Picture(np.zeros((*size, 3), np.uint8), ["x"])] * 3, [])
    figure = retrieval_rows.retrieval_rows([row], ["query", "a", "b"])
    width, height = figure.get_size_inches()
    for axes in figure.axes[:3]:
        box = axes.get_position()
        assert box.width * width / (box.height * height) == pytest.approx(size[1] / size[0])
        assert max(box.width * width, box.height * height) == pytest.approx(CELL)


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "naevus, melanoma, scar",
        "one " * 40,
        "x" * 200,
        "a-long-hyphenated-name-of-a-lesion/or-two",
        "$" * 90,
        "Ö漢 W" * 9,
    ],
)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_a_caption_fits_below_its_picture_and_loses_nothing_without_an_ellipsis(text):
    lines = retrieval_rows._wrapped([text])
    assert 1 <= len(lines) <= MOST_LINES
    for line in lines:
        assert TextPath((0, 0), line, prop=FontProperties(size=TEXT_SIZE)).get_extents().width <= 72 * CELL
    written = "".join(lines).replace(" ", "").replace(r"\$", "$")
    whole = text.replace(" ", "")
    assert written == whole or (written.endswith("…") and whole.startswith(written[:-1]) and len(lines) == MOST_LINES)


def test_a_query_without_labels_has_no_frames_and_its_own_file(files, monkeypatch):
    """As retrieve.py --query and attend.py --query leave it; the path counts from the working folder."""
    cv2.imwrite(str(files.folder / "0.png"), np.full((40, 60, 3), 9, np.uint8))
    files.neighbours.write_text(HEADER + "0.png,1,2.png,0.5,,\n0.png,2,3.png,0.75,,\n")
    monkeypatch.chdir(files.folder)
    (row,) = files.inputs().picture_rows(["0.png"])
    assert [one.shared for one in row.neighbours] == [None, None]
    assert row.of_query[0].image.max() == 9
    (files.folder / "0.png").unlink()
    with pytest.raises(InputError, match="must be where it was"):
        files.inputs().picture_rows(["0.png"])


def test_many_labels_are_counted_below_a_map(files):
    lesions = [f"lesion {n}" for n in range(6)]
    (files.folder / "lesions.txt").write_text("\n".join([*NAMES["lesion"], *lesions]) + "\n")
    with new_attention_file(files.npz) as file:
        of_lesions = HeadAttention(tuple(lesions), np.ones((6, 20, 30), np.float32), np.full(9, 0.5, np.float32))
        file.add("0.png", {"lesion": of_lesions})
        file.finish({"lesion": [*NAMES["lesion"], *lesions]}, {})
    inputs = files.inputs()
    (row,) = inputs.picture_rows(["0.png"])
    assert inputs.heads == ["lesion"]  # a net with one head has one column
    assert list(row.of_query[1].captions) == ["0.50 lesion 0", "0.50 lesion 1", "0.50 lesion 2", "and 3 more"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("0.png,2,3.png,1,0,0", ":2: rank '2' where 1 comes next"),
        ("0.png,1,3.png,nan,0,0", ":2: distance 'nan'"),
        ("0.png,1,3.png,-1,0,0", ":2: distance '-1'"),
        ("0.png,1,3.png,1,yes,0", ":2: shared_lesion 'yes'"),
        ("0.png,1,3.png,1", ":2: 4 fields where the header has 6"),
        ("", "no neighbours in it"),
    ],
)
def test_a_bad_line_of_neighbours_is_named(files, line, said):
    files.neighbours.write_text(HEADER + line + "\n")
    with pytest.raises(InputError, match=re.escape(said)):
        read_neighbours(files.neighbours)


@pytest.mark.parametrize(
    ("lines", "query", "said"),
    [
        ("7.png,1,3.png,1,0,0", None, "has none of the 2 images"),
        ("0.png,1,3.png,1,0,0", "1.png", "no image '1.png' in it; check --image"),
        ("0.png,1,7.png,1,0,0", "0.png", ":2: image '7.png' is not in"),
        ("0.png,1,3.png,1,1,0", "0.png", ":2: shared_lesion is not what the labels"),
        ("0.png,1,2.png,1,1,1\n0.png,2,3.png,1,,", "0.png", ":3: shared_lesion is not what the labels"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(files, lines, query, said):
    files.neighbours.write_text(HEADER + lines + "\n")
    with pytest.raises(InputError, match=re.escape(said)):
        inputs = files.inputs()
        inputs.picture_rows([query] if query else inputs.queries())


def test_a_manifest_of_other_names_is_refused(files):
    text = (files.folder / "manifest.csv").read_text()
    (files.folder / "manifest.csv").write_text(text.replace("arm", "foot"))
    with pytest.raises(InputError, match="location_names are not those of"):
        files.inputs().picture_rows(["0.png"])


def test_an_image_that_was_replaced_is_found_by_its_shape(files):
    cv2.imwrite(str(files.folder / "images" / "0.png"), np.zeros((60, 40, 3), np.uint8))
    with pytest.raises(InputError, match="another shape now than its maps"):
        files.inputs().picture_rows(["0.png"])


def test_missing_and_broken_images_are_named_with_their_line(files):
    (files.folder / "images" / "3.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"manifest.csv:5: image .*3.png: not an image"):
        files.inputs().picture_rows(["0.png"])
    (files.folder / "images" / "3.png").unlink()
    with pytest.raises(InputError, match=r"manifest.csv:5: image .*3.png: the file is missing"):
        files.inputs().picture_rows(["0.png"])


def test_a_damaged_attention_file_is_refused(files):
    whole = files.npz.read_bytes()
    for bytes_, said in ((whole[:-30], "not a whole .npz"), (b"", "not a whole .npz")):
        files.npz.write_bytes(bytes_)
        with pytest.raises(InputError, match=said):
            files.inputs()
    middle = whole.index(b"lesion_map_000001.npy") + 60
    files.npz.write_bytes(whole[:middle] + bytes(40) + whole[middle + 40 :])
    with pytest.raises(InputError, match="lesion_map_000001 cannot be read"):
        files.inputs().picture_rows(["0.png"])
    np.savez(str(files.npz), image=np.array(["a"]))
    with pytest.raises(InputError, match="array protocol is missing"):
        files.inputs()
    write_attention(files.npz, {"0.png": (20, 30)}, maps=np.full((1, 20, 30), np.nan, np.float32))
    with pytest.raises(InputError, match="no finite map a label"):
        files.inputs().picture_rows(["0.png"])


def test_the_same_files_give_the_same_bytes(files):
    made = []
    for n in (1, 2):
        outs = [files.folder / f"{n}.png", files.folder / f"{n}.svg"]
        draw(files.inputs(), ["0.png", "1.png"], outs, {})
        made.append([out.read_bytes() for out in outs])
    assert made[0] == made[1]


def test_the_tool_refuses_bad_input_in_one_line_and_wrong_flags_as_usage(tool, refused, files):
    out = files.folder / "figure3.png"
    other = files.neighbours / "figure3.svg"
    refused(tool("figure3.py", *files.flags, "--out", out, "--out", other), other)
    assert not out.exists(), "nor is one of several left behind"
    files.npz.unlink()
    refused(tool("figure3.py", *files.flags, "--out", out), files.npz, "cannot be read", "attend.py")
    assert tool("figure3.py", *files.flags, "--out", out.with_suffix(".pdf")).returncode == 2
    assert tool("figure3.py", *files.flags, "--out", out, "--rows", 2, "--image", "0.png").returncode == 2
    assert not out.exists()
