"""pycaffe's interface over PyTorch: `import caffe_torch.pycaffe as caffe`, or `caffe-torch python SCRIPT`.

What pycaffe has and this has not is no name here.
"""

from caffe_torch.layers import LAYERS
from caffe_torch.layers.pycaffe import StandIn as Layer
from caffe_torch.pycaffe import io
from caffe_torch.pycaffe.classifier import Classifier
from caffe_torch.pycaffe.modes import set_device, set_mode_cpu, set_mode_gpu, set_random_seed
from caffe_torch.pycaffe.net import Net
from caffe_torch.pycaffe.net_spec import NetSpec, layers, params, to_proto
from caffe_torch.pycaffe.solver import (
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    NesterovSolver,
    RMSPropSolver,
    SGDSolver,
    get_solver,
)

TRAIN, TEST = 0, 1

__all__ = [
    "TEST",
    "TRAIN",
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "Classifier",
    "Layer",
    "NesterovSolver",
    "Net",
    "NetSpec",
    "RMSPropSolver",
    "SGDSolver",
    "get_solver",
    "io",
    "layer_type_list",
    "layers",
    "params",
    "set_device",
    "set_mode_cpu",
    "set_mode_gpu",
    "set_random_seed",
    "to_proto",
]


def layer_type_list() -> list[str]:
    """The types of layers that there are."""
    return sorted(LAYERS)
