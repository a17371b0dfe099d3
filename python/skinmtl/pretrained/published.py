"""The published weights that fetch_weights.py knows: where they are, how long they are, and what they sum up to.

The sums are those that the sources state. We have downloaded none of these files.
"""

from __future__ import annotations

from typing import NamedTuple

CAFFEMODEL, CHECKPOINT = "caffemodel", "checkpoint"


class Published(NamedTuple):
    """A file of weights. `url` is None where no link lasts, `size` (bytes) None where no source states it.

    `digest` of `algorithm` is in hexadecimal, or its first digits where the source gives no more. Where `by_layers`, it
    is only told whether a file has it: the shapes of the layers decide.
    """

    name: str
    file: str
    kind: str
    url: str | None
    size: int | None
    algorithm: str
    digest: str
    stated_by: str
    licence: str
    page: str
    by_layers: bool = False


_TORCHVISION = "https://docs.pytorch.org/vision/stable/models/generated/torchvision.models.resnet50.html"
_TORCHVISION_LICENCE = "BSD-3-Clause for the code; for the weights ImageNet's terms may hold"
_TIMM = "https://huggingface.co/timm"
_TIMM_RELEASES = "https://github.com/huggingface/pytorch-image-models/releases/download"

PUBLISHED = {
    entry.name: entry
    for entry in (
        Published(
            name="resnet50_published",
            file="ResNet-50-model.caffemodel",
            kind=CAFFEMODEL,
            url=None,
            size=None,
            algorithm="sha1",
            digest="b7c79ccc21ad0479cddc0dd78b1d20c4d722908d",
            stated_by="OpenCV's test data and MXNet's converter (the authors state none)",
            licence="see its page",
            page="https://github.com/KaimingHe/deep-residual-networks",
            by_layers=True,
        ),
        Published(
            name="bvlc_alexnet",
            file="bvlc_alexnet.caffemodel",
            kind=CAFFEMODEL,
            url="http://dl.caffe.berkeleyvision.org/bvlc_alexnet.caffemodel",
            size=None,
            algorithm="sha1",
            digest="9116a64c0fbe4459d18f4bb6b56d647b63920377",
            stated_by="BVLC, models/bvlc_alexnet/readme.md",
            licence="unrestricted",
            page="https://github.com/BVLC/caffe/tree/master/models/bvlc_alexnet",
        ),
        Published(
            name="torchvision_resnet50_v1",
            file="resnet50-0676ba61.pth",
            kind=CHECKPOINT,
            url="https://download.pytorch.org/models/resnet50-0676ba61.pth",
            size=102530333,
            algorithm="sha256",
            digest="0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
            stated_by="torchvision (first 8 digits, in the name), users of the file (all, and the size)",
            licence=_TORCHVISION_LICENCE,
            page=_TORCHVISION,
        ),
        Published(
            name="torchvision_resnet50_v2",
            file="resnet50-11ad3fa6.pth",
            kind=CHECKPOINT,
            url="https://download.pytorch.org/models/resnet50-11ad3fa6.pth",
            size=102540417,
            algorithm="sha256",
            digest="11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca",
            stated_by="torchvision (first 8 digits, in the name), users of the file (all, and the size)",
            licence=_TORCHVISION_LICENCE,
            page=_TORCHVISION,
        ),
        Published(
            name="timm_resnet50_a1",
            file="resnet50.a1_in1k.safetensors",
            kind=CHECKPOINT,
            url=f"{_TIMM}/resnet50.a1_in1k/resolve/main/model.safetensors",
            size=102469840,
            algorithm="sha256",
            digest="773525d5821de224f8f30c33377b7a795d7863e08522698200d3217d3f2a41bb",
            stated_by="users of the file",
            licence="Apache-2.0",
            page=f"{_TIMM}/resnet50.a1_in1k",
        ),
        Published(
            name="timm_resnet50_ram",
            file="resnet50_ram-a26f946b.pth",
            kind=CHECKPOINT,
            url=f"{_TIMM_RELEASES}/v0.1-weights/resnet50_ram-a26f946b.pth",
            size=None,
            algorithm="sha256",
            digest="a26f946b",
            stated_by="timm, in the name",
            licence="Apache-2.0",
            page=f"{_TIMM}/resnet50.ram_in1k",
        ),
    )
}
