"""How maps are made: by which method, of what, at which scales."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from caffe_files.errors import InputError

CAM, GRAD_CAM, OCCLUSION = METHODS = ("cam", "grad-cam", "occlusion")
PHOTOGRAPH, BLENDED, CROPS = OVER = ("photograph", "blended-crops", "crops")
# Of the short side of the test images: 256, 368 and 480 of the paper's 256, the ends and the middle of the range that
# its nets are trained at. Our choice: on the drawn moles three sides have more of the evidence inside the masks than
# the short side alone (0.51 and 0.46 for the malignant ones), and larger ones add nothing.
SIDES = (1, 368 / 256, 480 / 256)
LARGEST = 4096  # of a side that crops cover, some 2,000 crops of 224: our choice, far above use, minutes and not days

_CAM = (
    "class activation map (Zhou et al. 2016): the maps' blob times the head's weights for a label, without the bias, "
    "in units of the logit"
)
_COVER = "crops that cover the photograph, weighted from their middles to their edges"
_GRADIENTS = (
    "Grad-CAM (Selvaraju et al. 2017): the maps' blob times its gradients of the label's logit, summed over a crop, "
    "positive parts alone, which of a net with a global average pooling are those of its class activation map"
)
_COVERED = (
    "occlusion (Zeiler and Fergus 2014): by how much the label's logit falls where a square of a quarter of the crop's "
    "side is covered by the mean colour"
)
SAYS = {
    (CAM, PHOTOGRAPH): f"{_CAM}; of the whole photograph in one pass, with no pooling",
    (CAM, CROPS): f"{_CAM}; the mean of all crops that show a pixel, mirrored ones turned back",
    (CAM, BLENDED): f"{_CAM}; {_COVER}",
    (GRAD_CAM, BLENDED): f"{_GRADIENTS}; {_COVER}",
    (OCCLUSION, BLENDED): f"{_COVERED}; {_COVER}",
}
PLACED = "linear between the centres of the cells' receptive fields (first + k x step pixels of the net's input)"


@dataclass(frozen=True)
class Ways:
    """`method` of METHODS, of what each pass sees (`over`, of OVER), at which shorter `sides`, and whether each pass is
    done of the mirror image too, and turned back.

    "" and () are as good as the net allows: class activation maps where its heads stand on a global average pooling,
    else Grad-CAM; of blended crops, which on the drawn moles lie on the lesions more than one pass over the photograph
    (docs/what-the-net-looks-at.md), at SIDES times the short side of the test images.
    """

    method: str = ""
    over: str = ""
    sides: tuple[int, ...] = ()
    mirrored: bool = True

    def record(self) -> dict[str, Any]:
        """What decides the maps, in numbers and in words."""
        return {
            "method": self.method,
            "over": self.over,
            "sides": list(self.sides),
            "mirrored": self.mirrored,
            "says": f"{SAYS[self.method, self.over]}; the mean over all sides; {PLACED}",
        }


BEST = Ways()


def settled(ways: Ways, averages: bool, short_side: int) -> Ways:
    """The ways with nothing left open, for a net that has a global average pooling or not. InputError where they do not
    go together."""
    method = ways.method or (CAM if averages else GRAD_CAM)
    over = ways.over or BLENDED
    if (method, over) not in SAYS:
        raise InputError(f"--over {over}: {method} is of blended crops, whose size the net's heads know; leave it out")
    if method == OCCLUSION or (method, over) == (CAM, CROPS):
        if not ways.mirrored and method == CAM:
            raise InputError(
                "--no-mirror: the crops are those of the ten-crop test, half of them mirrored; leave it out"
            )
        if ways.sides not in ((), (short_side,)):
            raise InputError(f"--sides: {method} of {over} is at the short side of the test alone; leave the flag out")
        return Ways(method, over, (short_side,), method == CAM)
    sides = ways.sides or tuple(round(times * short_side) for times in SIDES)
    if over == BLENDED and max(sides) > LARGEST:
        raise InputError(f"--sides {max(sides)}: crops cover a photograph of at most {LARGEST} pixels; give fewer")
    return Ways(method, over, sides, ways.mirrored)
