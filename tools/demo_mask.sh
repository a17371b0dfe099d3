#!/bin/sh
# Box, class and mask of a lesion from one net: the whole way, from images and masks to a table, through real Caffe, on a
# small data set that is drawn here. Everything it makes is in work/demo_mask. Exits 1 where the result is below what the
# README promises.
# usage: [ENGINE=torch] tools/demo_mask.sh
set -eu
cd "$(dirname "$0")/.."
out=work/demo_mask
# shellcheck source=tools/demo_steps.sh
. tools/demo_steps.sh
rm -rf $out
# the processes that prepare images want a core too, and threads that share it wait for each other
export OPENBLAS_NUM_THREADS="${OPENBLAS_NUM_THREADS:-1}"

# five folds; patients stay whole; fold 0 is the test fold
fold="--folds $out/folds.csv --fold 0"
data="--manifest $out/data/manifest.csv --images $out/data"
# sizes for minutes on a CPU: our choice
net="--model resnet50_mask_rcnn --trunk tiny --side 128 --batch-size 4 --solver solvers/tiny_mask_rcnn.prototxt
    --anchor-scales 24 40 56 80 112 --rho 1 --rpn-sample 32 --proposals 100 50 --rois 24 --detections 1
    --channels 32 --rpn-channels 32 --full 64 --mask-channels 16"

# shellcheck disable=SC2086  # the variables above are several words each
{
    step tools/make_demo_data.py --masks --count 800 --patients 300 --out $out/data
    step tools/make_folds.py --manifest $out/data/manifest.csv --out $out/folds.csv
    step tools/make_lmdb.py $data $fold --subset train --long-side 160 --out $out/train
    step tools/make_lmdb.py $data $fold --subset test --long-side 160 --out $out/test
    step tools/check_lmdb.py $out/train
    step tools/make_prototxt.py $net --train-data $out/train --test-data $out/test --out $out/net
    train -solver $out/net/solver.prototxt
    weights=$out/net/tiny_mask_rcnn_iter_2000.caffemodel
    step tools/check_weights.py --net $out/net/deploy.prototxt --weights $weights $engine
    step tools/score.py --deploy $out/net/deploy.prototxt --weights $weights $data $fold --subset test \
        --trained-on $out/train $engine --out $out/scores.npz
    step tools/evaluate.py $out/scores.npz --json $out/metrics.json \
        --fail-if-below mask_ja=0.75 --fail-if-below class_auc=0.85
}
