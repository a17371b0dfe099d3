"""The nets: a layer that reads the images and one for each kind of label, a trunk, fully connected heads, losses."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches

from google.protobuf.message import Message

from caffe_files.errors import InputError
from caffe_files.schema import caffe_messages
from skinmtl.layers.augment import NONE, Augmentation
from skinmtl.layers.param_str import settings_text
from skinmtl.layers.settings import JitterSettings
from skinmtl.nets.data_layers import JITTERED
from skinmtl.nets.given_trunk import GivenTrunk
from skinmtl.nets.learning import check_shared, freeze
from skinmtl.nets.lesion_loss import PAPERS, LesionLoss
from skinmtl.nets.location_loss import PAPERS_LOCATIONS, LocationLoss
from skinmtl.nets.resnet import ResNet
from skinmtl.nets.trunks import TRUNKS, OnTrunk, Trunk

SPLITS = ("train", "test", "deploy")


@dataclass(frozen=True)
class Model:
    """One of the paper's models: its heads, and the trunk and the batch size that the paper gives it."""

    heads: tuple[str, ...]
    trunk: str
    batch_size: int

    def fits(self, trunk: str) -> bool:
        """Whether a trunk is of the model's family."""
        return type(TRUNKS[trunk]) is type(TRUNKS[self.trunk])


# the multi-task net, and its single-task baselines: the same without the other head, labels and loss
MODELS = {
    "resnet50_mtl": Model(("lesion", "location"), "resnet50", 20),
    "resnet50_lesion": Model(("lesion",), "resnet50", 20),
    "resnet50_location": Model(("location",), "resnet50", 20),
    "alexnet_lesion": Model(("lesion",), "alexnet", 256),
}
TOP_K = (1, 3)  # the paper's figure 4


@dataclass(frozen=True)
class NetOptions(OnTrunk):
    """What a net is made of: P `lesions`, Q `locations`, a square input of `crop` pixels.

    `mean` is (B, G, R), where None that of the published trunk; `train_data` and `test_data` are folders that
    make_lmdb.py made, as Caffe will see them. `scales`, where given, are drawn from for every training image at every
    visit, by `seed`; else training images keep the scale that they are stored at. `stride_on` and `pool1` are a
    ResNet's. `given` is a trunk that the user gives, of the name `trunk`. Layers of the trunk up to `freeze_to` learn
    nothing. `lesion_loss` and `location_loss` are those of the heads. `augmentation` is of images with `scales`.
    """

    model: str
    trunk: str
    crop: int
    lesions: int
    locations: int
    train_data: str
    test_data: str
    batch_size: int
    test_batch_size: int
    frozen_batch_norm: bool
    mean: tuple[float, float, float] | None = None
    scales: tuple[int, int] | None = None
    seed: int = 1
    stride_on: str = "1x1"
    pool1: str = "unpadded"
    given: GivenTrunk | None = None
    freeze_to: str | None = None
    lesion_loss: LesionLoss = PAPERS
    location_loss: LocationLoss = PAPERS_LOCATIONS
    augmentation: Augmentation = NONE

    @property
    def heads(self) -> dict[str, int]:
        """The model's heads and their numbers of outputs."""
        outputs = {"lesion": self.lesions, "location": self.locations}
        return {head: outputs[head] for head in MODELS[self.model].heads}

    @property
    def outputs(self) -> dict[str, int]:
        """The same, by the name that the options of all nets have for it."""
        return self.heads

    @property
    def trunk_layers(self) -> Trunk:
        """The trunk itself."""
        if self.given:
            return self.given
        trunk = TRUNKS[self.trunk]
        if isinstance(trunk, ResNet):
            return replace(trunk, stride_on=self.stride_on, pool1=self.pool1)
        return trunk

    @property
    def features_blob(self) -> str | None:
        """What retrieval compares."""
        return self.given.fitted(self.crop).features if self.given else self.trunk_layers.features_blob

    @property
    def maps_blob(self) -> str | None:
        """What class activation maps are made of."""
        return self.given.fitted(self.crop).maps if self.given else self.trunk_layers.maps_blob


def make_net(options: NetOptions, split: str) -> Message:
    """The net of one split. Train and test differ in their Data layers and in the accuracies, deploy also in its ends.

    Tops: data (N, 3, crop, crop), lesion_label (N, P, 1, 1), location_label (N, 1, 1, 1), those of the trunk (a
    ResNet's pool5 and res5c, an AlexNet's fc7, a given net's own), fc_lesion (N, P), fc_location (N, Q); lesion_loss
    and location_loss in train and test, lesion_prob (N, P) and location_prob (N, Q) in deploy. A single-task model has
    those of its own head.
    """
    net = caffe_messages().NetParameter(name=options.net_name)
    if split == "deploy":
        source = net.layer.add(name="data", type="Input", top=["data"])
        source.input_param.shape.add(dim=[1, 3, options.crop, options.crop])
    else:
        _data_layers(net, options, split)
    own = len(net.layer)
    features = options.trunk_layers.append(net, options.crop, options.frozen_batch_norm)
    if options.freeze_to:
        _freeze_to(net, own, options.freeze_to)
    for head, outputs in options.heads.items():
        append_head(net, f"fc_{head}", features, outputs)
    for head in options.heads:
        if split == "deploy":
            append_probability(net, head, options.lesion_loss)
        else:
            append_loss(net, head, options.lesion_loss, options.location_loss)
    if split == "test" and "location" in options.heads:
        _accuracies(net, options.locations)
    return net


def _freeze_to(net: Message, first: int, name: str) -> None:
    """Keeps the layers from number `first` on to the one called `name` from learning, and what works in place on that:
    a convolution's BatchNorm and Scale are part of it. InputError where the trunk has no such layer."""
    names = [layer.name for layer in net.layer]
    if name not in names[first:]:
        near = get_close_matches(name, names[first:], 3) or names[-3:]
        raise InputError(f"--freeze-to {name}: no layer of the trunk; name another, such as {', '.join(near)}")
    last = names.index(name)
    for number, layer in enumerate(net.layer):
        in_place = list(layer.bottom) == list(layer.top) == list(net.layer[last].top)
        if first <= number <= last or (number > last and in_place):
            freeze(layer)
    check_shared(net, "--freeze-to", "name the later one")


def _data_layers(net: Message, options: NetOptions, split: str) -> None:
    """Images and labels, read in step: equal keys and equal batch sizes keep them together."""
    folder = options.train_data if split == "train" else options.test_data
    batch_size = options.batch_size if split == "train" else options.test_batch_size
    if split == "train" and options.scales:
        _jittered_layer(net, options, f"{folder}/image_lmdb")
    else:
        transform = _data_layer(net, "data", f"{folder}/image_lmdb", batch_size).transform_param
        if split == "train":
            transform.mirror = True
        transform.crop_size = options.crop  # Caffe crops at random in TRAIN, the centre in TEST
        transform.mean_value.extend(options.subtracted)
        transform.force_color = True
    for head in options.heads:
        append_label(net, head, folder, batch_size)


def append_label(net: Message, head: str, folder: str, batch_size: int) -> None:
    """The labels of a head, from the folder that make_lmdb.py made."""
    _data_layer(net, f"{head}_label", f"{folder}/{head}_lmdb", batch_size)


def _data_layer(net: Message, top: str, source: str, batch_size: int) -> Message:
    """A label layer has no transform_param: it would be cropped, and Caffe aborts."""
    layer = net.layer.add(name=top, type="Data", top=[top])
    layer.data_param.source = source
    layer.data_param.batch_size = batch_size
    layer.data_param.backend = layer.data_param.LMDB
    return layer


def _jittered_layer(net: Message, options: NetOptions, source: str) -> None:
    layer = net.layer.add(name="data", type="Python", top=["data"])
    layer.python_param.module = "skinmtl.layers"
    layer.python_param.layer = JITTERED
    layer.python_param.param_str = settings_text(
        JitterSettings(
            source=source,
            batch_size=options.batch_size,
            crop=options.crop,
            scales=options.scales,
            mean=options.subtracted,
            seed=options.seed,
            **asdict(options.augmentation),
        )
    )


def append_head(net: Message, name: str, features: str, outputs: int) -> None:
    """A fully connected layer on the trunk's features, learning faster than the trunk.

    lr_mult 10 (weights) and 20 (bias): the paper. decay_mult 1 and 0, Gaussian weights with std 0.01: as BVLC's
    fine-tuning example (finetune_flickr_style) has its new layer; the paper does not say.
    """
    layer = net.layer.add(name=name, type="InnerProduct", bottom=[features], top=[name])
    layer.param.add(lr_mult=10, decay_mult=1)
    layer.param.add(lr_mult=20, decay_mult=0)
    layer.inner_product_param.num_output = outputs
    layer.inner_product_param.weight_filler.type = "gaussian"
    layer.inner_product_param.weight_filler.std = 0.01


def append_probability(net: Message, head: str, lesion_loss: LesionLoss = PAPERS) -> None:
    """What a head says of an image, from 0 to 1."""
    kind = {"lesion": lesion_loss.probability, "location": "Softmax"}[head]
    net.layer.add(name=f"{head}_prob", type=kind, bottom=[f"fc_{head}"], top=[f"{head}_prob"])


def append_loss(
    net: Message, head: str, lesion_loss: LesionLoss = PAPERS, location_loss: LocationLoss = PAPERS_LOCATIONS
) -> None:
    """The paper's equations 3 to 7: (1/N) sum over images of the sum over lesions, and (1/N) sum over images.

    SigmoidCrossEntropyLoss divides by N alone where its normalisation is BATCH_SIZE; SoftmaxWithLoss does by itself.
    Another loss of the lesions, or weights of the locations, is a layer of our own.
    """
    own = {"lesion": lesion_loss, "location": location_loss}[head]
    if not own.is_papers:
        own.append(net)
        return
    kind = {"lesion": "SigmoidCrossEntropyLoss", "location": "SoftmaxWithLoss"}[head]
    layer = net.layer.add(name=f"{head}_loss", type=kind, top=[f"{head}_loss"])
    layer.bottom.extend([f"fc_{head}", f"{head}_label"])
    if head == "lesion":
        layer.loss_param.normalization = layer.loss_param.BATCH_SIZE


def _accuracies(net: Message, locations: int) -> None:
    for top_k in TOP_K:
        if top_k <= locations:
            name = f"location_top{top_k}"
            layer = net.layer.add(name=name, type="Accuracy", bottom=["fc_location", "location_label"], top=[name])
            layer.accuracy_param.top_k = top_k
