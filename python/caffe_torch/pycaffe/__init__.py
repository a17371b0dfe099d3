"""pycaffe's interface over PyTorch: `import caffe_torch.pycaffe as caffe`, or `caffe-torch python SCRIPT`.

What pycaffe has and this has not is no name here.
"""

from caffe_torch.layers import LAYERS
from caffe_torch.layers.pycaffe import StandIn as Layer
from caffe_torch.layers.pycaffe import solver_count, solver_rank
from caffe_torch.pycaffe import io
from caffe_torch.pycaffe.classifier import Classifier
from caffe_torch.pycaffe.detector import Detector
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
from caffe_torch.pycaffe.timer import Timer

TRAIN, TEST = 0, 1
__version__ = "1.0.0"  # of the pycaffe whose interface this is

__all__ = [
    "TEST",
    "TRAIN",
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "Classifier",
    "Detector",
    "Layer",
    "NesterovSolver",
    "Net",
    "NetSpec",
    "RMSPropSolver",
    "SGDSolver",
    "Timer",
    "get_solver",
    "io",
    "layer_type_list",
    "layers",
    "params",
    "set_device",
    "set_mode_cpu",
    "set_mode_gpu",
    "set_random_seed",
    "solver_count",
    "solver_rank",
    "to_proto",
]


def layer_type_list() -> list[str]:
    """The types of layers that there are."""
    return sorted(LAYERS)
