#!/bin/sh
# The image says for itself that its engine starts, that what the tools import is there, that a fast BLAS does the work,
# that nets run, and, in gpu and torch, that they do on a GPU where the container was given one. The last step of the
# build, and what a container runs when it is told nothing else. "check_image.sh health", the image's health check, runs
# no net: a training beside it may need all of the GPU's memory.
set -eu
here=$(dirname "$(readlink -f "$0")")

fail() {
    echo "check_image.sh: $*" >&2
    exit 1
}

caffe_log() { # PROGRAM...: shows only what caffe complains of
    GLOG_minloglevel=2 "$@" || fail "$* failed, as shown above"
}

check_python_layers() {
    if PYTHONPATH=$here/probes${PYTHONPATH:+:$PYTHONPATH} GLOG_minloglevel=2 \
        caffe time -model "$here/probes/python_layer.prototxt" -iterations 1; then
        echo "layers in Python run in caffe"
    elif [ -n "$given" ]; then
        echo "the base's caffe was built without layers in Python: nets of make_prototxt.py --online-jitter need them"
    else
        fail "layers in Python do not run in caffe, as shown above"
    fi
}

gpu_is_given() {
    [ -e /dev/nvidiactl ] || [ -e /dev/dxg ] || nvidia-smi -L >/dev/null 2>&1
}

# Debian 10's Caffe has code for compute capability 3.0, 3.5, 5.0, 6.0 and 6.1, which serves later cards of the same
# first digit, and no PTX, which a driver would translate for all later ones.
caffe_serves() { # CAPABILITY
    case $1 in 3.* | 5.* | 6.*) ;; *) return 1 ;; esac
}

cannot_serve() { # CARD CAPABILITY
    echo "check_image.sh: this image cannot serve $1 (compute capability $2), only 3.0 to 6.1 (Kepler, Maxwell," \
        "Pascal): the image torch can, see docs/docker.md" >&2
}

# nvidia-smi is asked first: on a card of a later time Caffe may stop before it says which one it is. A driver that does
# not know the question knows no such card either. Its order need not be CUDA's: if any card can be served, Caffe says
# by itself which is its GPU 0.
ask_nvidia_smi() {
    cards=$(nvidia-smi --query-gpu=compute_cap,name --format=csv,noheader 2>/dev/null | grep '^[0-9]') || return 0
    served=
    while IFS=, read -r capability name; do
        if caffe_serves "$capability"; then
            served=yes
        else
            cannot_serve "${name# }" "$capability"
        fi
    done <<CARDS
$cards
CARDS
    [ -n "$served" ] || exit 1
}

ask_caffe() {
    log=$(caffe device_query -gpu 0 2>&1) || fail "caffe cannot use GPU 0: $log"
    echo "$log" | sed -n 's/^.*] \(Name\|Major\|Minor\|Total global\)/\1/p'
    capability=$(echo "$log" | sed -n 's/^.*] \(Major\|Minor\) revision number: *//p' | paste -sd.)
    if [ -n "$capability" ] && [ -z "$given" ] && ! caffe_serves "$capability"; then
        cannot_serve "GPU 0" "$capability"
        exit 1
    fi
}

case ${SKINMTL_IMAGE:-cpu} in
torch) engine=torch ;;
*) engine=caffe ;;
esac
# what a base that the user named has is not this project's to refuse
given=
[ ! -e "$here/base_is_given" ] || given=--any-blas
net="time -model $here/probes/small_net.prototxt -iterations 1"

skinmtl --version || fail "the tools' entry point, skinmtl, does not start"
# shellcheck disable=SC2086  # nothing, or one word
python3 "$here/check_libraries.py" check $engine $given
if [ $engine = caffe ]; then
    caffe --version
else
    python3 -c 'import torch; print("PyTorch", torch.__version__, "with CUDA", torch.version.cuda)'
fi
on_gpu=
place="the CPU"
if [ "${SKINMTL_IMAGE:-cpu}" != cpu ] && gpu_is_given; then
    on_gpu="-gpu 0"
    place="GPU 0"
    if [ $engine = caffe ]; then
        [ -n "$given" ] || ask_nvidia_smi
        ask_caffe
    else
        python3 "$here/check_libraries.py" gpu torch || fail "PyTorch cannot use GPU 0, as shown above"
    fi
elif [ "${SKINMTL_IMAGE:-cpu}" != cpu ]; then
    echo "no GPU was given to this container (docker run --gpus all): nothing was tried on one"
fi
[ "${1:-}" != health ] || exit 0

# shellcheck disable=SC2086  # the net is several words
if [ $engine = caffe ]; then
    check_python_layers
    caffe_log caffe $net $on_gpu
else
    log=$(caffe-torch $net $on_gpu 2>&1) || fail "caffe-torch $net $on_gpu failed: $log"
fi
echo "a small net runs on $place"
