"""Which Python packages are missing, or do they all work, on a fast BLAS and on the right libraries?

usage: check_libraries.py missing caffe|torch
           prints what pip calls the packages that cannot be imported
       check_libraries.py check caffe|torch [--any-blas] [--root ROOT]
           imports all; with --root, no library may come from elsewhere
       check_libraries.py gpu torch
           names GPU 0, and says whether this PyTorch has code for it
"""

import argparse
import importlib
import re
import sys
from pathlib import Path
from typing import List, Set

# module: what pip calls it; the later lmdb start on Python 3.7 and 3.8 only where more is installed than they ask for
COMMON = {
    "cv2": "opencv-python-headless",
    "google.protobuf": "protobuf",
    "hypothesis": "hypothesis",
    "jinja2": "jinja2",
    "lmdb": "lmdb<1.5" if sys.version_info < (3, 9) else "lmdb",
    "matplotlib": "matplotlib",
    "numpy": "numpy",
    "pytest": "pytest",
    "scipy.stats": "scipy",
    "sklearn.metrics": "scikit-learn",
    "tqdm": "tqdm",
    "xdist": "pytest-xdist",
}
ENGINES = {
    "caffe": {},
    "torch": {
        "h5py": "h5py",
        "onnx": "onnx",
        "onnxruntime": "onnxruntime",
        "safetensors": "safetensors",
        "torch": "torch",
        "torchvision": "torchvision",
    },
}


def missing(engine: str) -> List[str]:
    """What pip calls the packages that this Python cannot import."""
    names = []
    for module, name in sorted({**COMMON, **ENGINES[engine]}.items()):
        try:
            importlib.import_module(module)
        except ImportError:
            names.append(name)
    return names


def loaded_libraries() -> Set[str]:
    """Paths of the shared libraries in this process."""
    with open("/proc/self/maps") as maps:
        return {line.split(None, 5)[5].strip() for line in maps if ".so" in line}


def check(engine: str, any_blas: bool, root: str) -> None:
    """Imports everything and multiplies; exits with the reason where that is not as it should be."""
    for module in (engine, *COMMON, *ENGINES[engine]):
        importlib.import_module(module)
    importlib.import_module("matplotlib").use("agg")
    importlib.import_module("matplotlib.pyplot").figure().savefig("/dev/null", format="png")
    numpy = importlib.import_module("numpy")
    numpy.ones((64, 64)).dot(numpy.ones((64, 64)))
    loaded = loaded_libraries()
    # Debian has its own in a folder openblas or openblas-pthread, wheels beside numpy
    fast = sorted(path for path in loaded if "openblas" in path or "libmkl" in path or "atlas" in path)
    slow = sorted(path for path in loaded if Path(path).name.startswith("libblas") and path not in fast)
    print("BLAS: " + ", ".join(fast + slow))
    if slow and not any_blas:
        sys.exit("the reference BLAS is loaded, many times slower than OpenBLAS: " + ", ".join(slow))
    if not fast and not any_blas:
        sys.exit("no OpenBLAS, MKL or ATLAS is loaded")
    strange = sorted(path for path in loaded if not path.startswith(root))
    if strange:
        sys.exit("libraries from outside {} are loaded: {}".format(root, ", ".join(strange[:9])))


def check_gpu() -> None:
    """Names GPU 0; exits with the reason where PyTorch cannot use it, or was built without code for it."""
    torch = importlib.import_module("torch")
    if torch.version.cuda is None:
        sys.exit("this PyTorch was built without CUDA")
    try:
        name, capability = torch.cuda.get_device_name(0), torch.cuda.get_device_capability(0)
    except (AssertionError, RuntimeError) as error:
        sys.exit(f"{error}: is the driver too old? (docs/docker.md)")
    print("GPU 0 is {}, compute capability {}.{}".format(name, *capability))
    built = torch.cuda.get_arch_list()  # such as sm_75, sm_120, compute_120
    codes = [(int(each[3:-1]), int(each[-1])) for each in built if re.match("sm_[0-9]+$", each)]
    translated = [(int(each[8:-1]), int(each[-1])) for each in built if re.match("compute_[0-9]+$", each)]
    # code serves later cards of the same first digit; what the driver translates, all later ones
    served = [each for each in codes if each[0] == capability[0]] + translated
    if not any(each <= capability for each in served):
        sys.exit(
            "this PyTorch has no code for it, only for {}: docs/docker.md tells which build has".format(
                ", ".join("{}.{}".format(*each) for each in codes)
            )
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("command", choices=("missing", "check", "gpu"))
    parser.add_argument("engine", choices=tuple(ENGINES))
    parser.add_argument("--any-blas", action="store_true")
    parser.add_argument("--root", default="/")
    args = parser.parse_args()
    if args.command == "missing":
        print(" ".join(missing(args.engine)))
    elif args.command == "gpu":
        check_gpu()
    else:
        check(args.engine, args.any_blas, args.root)
