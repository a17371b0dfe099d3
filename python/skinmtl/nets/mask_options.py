"""What a mask net is made of: the second system, of Song et al. (2020), with all that its paper leaves open."""

from __future__ import annotations

from dataclasses import dataclass, replace

from caffe_files.errors import InputError
from skinmtl.layers.region_settings import HEADS
from skinmtl.nets.multi_task import Model
from skinmtl.nets.resnet import ResNet
from skinmtl.nets.trunks import TRUNKS, OnTrunk

# the paper has batches of "2x2", perhaps two images on each of two GPUs: one Caffe takes the images of one
MASK_MODELS = {f"{trunk}_mask_rcnn": Model((), trunk, 2) for trunk in ("resnet50", "resnet101")}
SIDE = 1024  # the paper
MULTIPLE = 64  # of the side: P6 has a cell for each 64 pixels
FINEST, COARSEST, EXTRA = 2, 5, 6  # the levels of the pyramid, and the one for proposals alone
SCALES = (32.0, 64.0, 128.0, 256.0, 512.0)  # matterport and Detectron, on P2 to P6; the paper's are not known
SCALES_WITHOUT_P6 = SCALES[1:]  # our choice: lesions are large
RATIOS = (0.5, 1.0, 2.0)
FOCAL = ("rpn", "classifier", "both", "none")
STRIDES = (1, 2, 2, 2)  # of the stages: C2 to C5 have strides of 4 to 32
MASK_POOLING = (7, 14)


@dataclass(frozen=True)
class MaskNetOptions(OnTrunk):
    """All lengths are pixels of the net's square input of `side` pixels.

    lesions           K, the classes of the class head, without the background
    heads             of HEADS: all, or some alone
    also              of "lesion" and "location": heads of Liao and Luo (2017) on the pooled C5, of `lesions` and
                      `locations` outputs
    train_data, test_data   folders that make_lmdb.py made, as Caffe will see them
    scales, ratios    of the anchors; a scale for each level, P2 to P6, or to P5 without `p6`
    proposals         kept by the non-maximum suppression, in training and in deploy
    rois              an image that the subnets are trained on
    mask_pooling      side that a region is pooled to for its mask, which has twice that side
    levels            how a region's level is rounded: "round" or "floor"
    focal             which classifier has the focal loss: one of FOCAL
    jaccard           smooth and weight of the mask's second loss; None: without it
    rho               weight of the proposals' box loss
    class_weight      that of the regions' class loss
    normaliser        of that loss: "positives", "sampled" or "locations"
    rpn_sample        anchors an image that the proposals learn from, at most half of them positive
    channels          of the pyramid; rpn_channels, full, mask_channels: of the proposals' convolution, of the two
                      fully connected layers and of the mask's convolutions
    augment           at most so many of the five kinds of change for each training image, drawn by `seed`
    detections        rows an image in the deploy net, at most
    mean              (B, G, R); None: that of the published trunk
    """

    model: str
    trunk: str
    side: int
    lesions: int
    locations: int
    train_data: str
    test_data: str
    batch_size: int
    test_batch_size: int
    frozen_batch_norm: bool
    heads: tuple[str, ...] = HEADS
    also: tuple[str, ...] = ()
    scales: tuple[float, ...] = SCALES
    ratios: tuple[float, ...] = RATIOS
    p6: bool = True
    proposals: tuple[int, int] = (2000, 1000)
    rois: int = 200
    mask_pooling: int = 14
    levels: str = "round"
    focal: str = "rpn"
    jaccard: tuple[float, float] | None = (100.0, 1.0)
    rho: float = 10.0
    class_weight: float = 1.0
    normaliser: str = "positives"
    rpn_sample: int = 256
    channels: int = 256
    rpn_channels: int = 512
    full: int = 1024
    mask_channels: int = 256
    augment: int = 2
    seed: int = 1
    detections: int = 10
    mean: tuple[float, float, float] | None = None
    stride_on: str = "1x1"
    pool1: str = "unpadded"

    @property
    def trunk_layers(self) -> ResNet:
        """The trunk itself. The tiny one has another last stride here than in the nets without a mask."""
        return replace(TRUNKS[self.trunk], stride_on=self.stride_on, pool1=self.pool1, strides=STRIDES)

    @property
    def crop(self) -> int:
        """The side of the input, by the name that other nets have for it."""
        return self.side

    @property
    def outputs(self) -> dict[str, int]:
        """The heads of `also` and their numbers of outputs."""
        counts = {"lesion": self.lesions, "location": self.locations}
        return {head: counts[head] for head in self.also}

    @property
    def classes(self) -> int:
        """K of the layers; 1 without a class head: boxes and masks are of any lesion then."""
        return self.lesions if "class" in self.heads else 1

    @property
    def features_blob(self) -> str | None:
        """What retrieval compares: there with a head of `also`."""
        return self.trunk_layers.features_blob if self.also else None

    @property
    def maps_blob(self) -> str | None:
        """What class activation maps are made of: the same."""
        return self.trunk_layers.maps_blob if self.also else None

    @property
    def mask_side(self) -> int:
        """The side of a mask: a deconvolution doubles that of the pooled region."""
        return 2 * self.mask_pooling

    @property
    def rpn_levels(self) -> tuple[int, ...]:
        """The levels that propose regions."""
        return tuple(range(FINEST, (EXTRA if self.p6 else COARSEST) + 1))

    @property
    def strides(self) -> tuple[int, ...]:
        """Of rpn_levels."""
        return tuple(2**level for level in self.rpn_levels)

    def check(self) -> None:
        """InputError says which options do not go together."""
        if self.side < MULTIPLE or self.side % MULTIPLE:
            below = max(MULTIPLE, self.side // MULTIPLE * MULTIPLE)
            near = f"{below} or {below + MULTIPLE}" if self.side > MULTIPLE else str(MULTIPLE)
            raise InputError(f"--side {self.side}: no multiple of {MULTIPLE}, the stride of P6; give {near}")
        if len(self.scales) != len(self.rpn_levels):
            names = ", ".join(f"P{level}" for level in self.rpn_levels)
            raise InputError(
                f"--anchor-scales: {len(self.scales)} for the {len(self.rpn_levels)} levels {names}; give one for each"
            )
