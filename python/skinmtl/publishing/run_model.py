"""A run of train.py as the model that predict.py uses, without export.py in between."""

from __future__ import annotations

from caffe_files.errors import InputError
from caffe_files.prototxt import read_net
from skinmtl.common.provenance import sha256
from skinmtl.data.dataset import read_summary
from skinmtl.engines.snapshot import MAKE_ANOTHER, mean_of, short_side_of
from skinmtl.nets.label_names import names_file, read_label_names
from skinmtl.nets.net_record import NET_FILE
from skinmtl.publishing.model_folder import DEPLOY, OUTPUTS, WEIGHTS, Model
from skinmtl.publishing.trained_names import class_names_of
from skinmtl.scores.crops import CROPS
from skinmtl.scores.mask_net import mask_net_of
from skinmtl.training.trained_net import TrainedNet


def run_model(net: TrainedNet) -> Model:
    """The net's model: what its folder says, the label names else as the training data says them."""
    description = read_net(net.deploy)
    tops = {top: layer for layer in description.layer for top in layer.top}
    shapes = tops["data"].input_param.shape if "data" in tops else ()
    if not shapes or len(shapes[0].dim) != 4:
        raise InputError(f"{net.deploy}: no input 'data'; {MAKE_ANOTHER}")
    beside = net.deploy.parent
    names, source = read_label_names(beside), names_file(beside)
    if net.train_data is not None and not names:
        names, source = read_summary(net.train_data), net.train_data / "dataset.json"
    labels = {head: names.get(f"{head}_names") for head, output in OUTPUTS.items() if output in tops}
    for head, listed in labels.items():
        if listed is None:
            raise InputError(f"{source}: has no names of the {head} labels; make a model folder of it with export.py")
    drawn = mask_net_of(net.deploy)
    side = shapes[0].dim[2]
    return Model(
        path=net.weights.parent,
        name=description.name,
        deploy=net.deploy,
        weights=net.weights,
        labels=labels,
        said_by={"crop": beside / NET_FILE, **dict.fromkeys(labels, source)},
        mean=mean_of(net.deploy),
        short_side=side if drawn else short_side_of(net.deploy),
        crop=side,
        crops=1 if drawn else CROPS,
        files={DEPLOY: sha256(net.deploy), WEIGHTS: sha256(net.weights)},
        net=drawn,
        class_names=class_names_of(net, drawn) if drawn and drawn.has_class else [],
    )
