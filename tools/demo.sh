#!/bin/sh
# The whole way, from images and labels to a mAP table through real Caffe, on a small data set that is drawn here.
# Everything it makes is in build/demo. Exits 1 where the result is below what the README promises.
set -eu
cd "$(dirname "$0")/.."
rm -rf build/demo

step() { # COMMAND...: shows it, then runs it
    echo "\$ $*"
    "$@"
}

# Caffe logs hundreds of lines before its first iteration: all of it goes to a file, the losses to the screen, and what
# it says when it gives up.
train() {
    {
        caffe train "$@" 2>&1 || echo failed >build/demo/failed
    } | tee build/demo/train.log | grep -o 'Iteration [0-9]* (.*' || true
    if [ -e build/demo/failed ]; then
        { grep '^F' build/demo/train.log || tail -n 5 build/demo/train.log; } >&2
        echo "demo.sh: caffe train failed as shown; all that it said is in build/demo/train.log" >&2
        exit 1
    fi
}

# the paper's five folds; patients stay whole; fold 0 is the test fold
fold="--folds build/demo/folds.csv --fold 0"
data="--manifest build/demo/data/manifest.csv --images build/demo/data/images"
net="--model resnet50_mtl --trunk tiny --crop 64 --batch-norm batch --batch-size 32 --test-batch-size 48"
labels="--lesions 10 --locations 7"

# shellcheck disable=SC2086  # the variables above are several words each
{
    step tools/make_demo_data.py --out build/demo/data
    step tools/make_folds.py --manifest build/demo/data/manifest.csv --out build/demo/folds.csv
    step tools/make_lmdb.py $data $fold --subset train --jitter 73 96 --copies 3 --out build/demo/train
    step tools/make_lmdb.py $data $fold --subset test --short-side 73 --out build/demo/test
    step tools/check_lmdb.py build/demo/train --crop 64
    step tools/check_lmdb.py build/demo/test --crop 64
    step tools/make_prototxt.py $net $labels --train-data build/demo/train --test-data build/demo/test \
        --out prototxt/tiny_mtl
    echo "\$ caffe train -solver solvers/tiny_mtl.prototxt"
    train -solver solvers/tiny_mtl.prototxt
    weights=build/demo/tiny_mtl_iter_2000.caffemodel
    step tools/check_weights.py --net prototxt/tiny_mtl/deploy.prototxt --weights $weights
    step tools/score.py --deploy prototxt/tiny_mtl/deploy.prototxt --weights $weights $data $fold --subset test \
        --short-side 73 --batch-size 50 --out build/demo/scores.npz
    step tools/evaluate.py build/demo/scores.npz --json build/demo/metrics.json \
        --at-least map_class=0.6 --at-least location_top1=0.8
}
