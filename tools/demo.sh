#!/bin/sh
# The whole way, from images and labels to a mAP table through real Caffe, on a small data set that is drawn here.
# Everything it makes is in work/demo. Exits 1 where the result is below what the README promises.
# usage: [ENGINE=torch] tools/demo.sh [offline|online]
# online: each training image is stored once, and a new scale is drawn whenever it is seen, as the paper says; in
# work/demo_online.
set -eu
cd "$(dirname "$0")/.."
way=${1:-offline}
case $way in
offline)
    out=work/demo
    stored="--jitter 73 96 --copies 3"
    jitter=
    ;;
online)
    out=work/demo_online
    stored="--short-side 96"
    jitter="--online-jitter --scales 73 96"
    ;;
*)
    echo "usage: tools/demo.sh [offline|online]" >&2
    exit 2
    ;;
esac
# shellcheck source=tools/demo_steps.sh
. tools/demo_steps.sh
rm -rf $out

# the paper's five folds; patients stay whole; fold 0 is the test fold
fold="--folds $out/folds.csv --fold 0"
data="--manifest $out/data/manifest.csv --images $out/data/images"
net="--model resnet50_mtl --trunk tiny --crop 64 --batch-size 32 --solver solvers/tiny_mtl.prototxt"

# shellcheck disable=SC2086  # the variables above are several words each
{
    step tools/make_demo_data.py --out $out/data
    step tools/make_folds.py --manifest $out/data/manifest.csv --out $out/folds.csv
    step tools/make_lmdb.py $data $fold --subset train $stored --out $out/train
    step tools/make_lmdb.py $data $fold --subset test --short-side 73 --out $out/test
    step tools/check_lmdb.py $out/train --crop 64
    step tools/check_lmdb.py $out/test --crop 64
    step tools/make_prototxt.py $net $jitter --train-data $out/train --test-data $out/test --out $out/net
    train -solver $out/net/solver.prototxt
    weights=$out/net/tiny_mtl_iter_2000.caffemodel
    step tools/check_weights.py --net $out/net/deploy.prototxt --weights $weights $engine
    step tools/score.py --deploy $out/net/deploy.prototxt --weights $weights $data $fold --subset test \
        --batch-size 50 --trained-on $out/train $engine --out $out/scores.npz
    step tools/evaluate.py $out/scores.npz --json $out/metrics.json \
        --fail-if-below map_class=0.6 --fail-if-below location_top1=0.8
}
