#!/bin/sh
# The pictures of README.md and docs/: figure3.jpg from what `make demo` has left in work/demo, outlines.jpg from what
# `make demo-mask` has left in work/demo_mask, report.jpg from what `make experiment` has left in work/experiment. With
# .caffe/bin first on PATH; report.jpg needs Chromium.
# usage: docs/images/make.sh
set -eu
cd "$(dirname "$0")/../.."
demo=work/demo
demo_mask=work/demo_mask
experiment=work/experiment
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

net="--deploy $demo/net/deploy.prototxt --weights $demo/net/tiny_mtl_iter_2000.caffemodel"
data="--manifest $demo/data/manifest.csv --images $demo/data/images"
fold="--folds $demo/folds.csv --fold 0"
query=00118.jpg # a face with three lesions, in the test fold

# shellcheck disable=SC2086  # the variables above are several words each
{
    tools/extract_features.py $net $data $fold --subset train --out "$scratch/train.npz"
    tools/extract_features.py $net $data $fold --subset test --out "$scratch/test.npz"
    tools/retrieve.py --features "$scratch/train.npz" --queries "$scratch/test.npz" --out "$scratch/neighbours.csv"
    tools/attend.py $net $data $fold --subset test --image $query --out "$scratch/attention"
    tools/figure3.py --attention "$scratch/attention" --neighbours "$scratch/neighbours.csv" $data \
        --image $query --out "$scratch/row.png"
}
docs/images/compose.py --images $demo/data/images --row "$scratch/row.png" --out docs/images/figure3.jpg

docs/images/outlines.py --scores $demo_mask/scores.npz --manifest $demo_mask/data/manifest.csv \
    --images $demo_mask/data --out docs/images/outlines.jpg

if command -v chromium >/dev/null; then
    chromium --headless --no-sandbox --disable-gpu --disable-background-networking --user-data-dir="$scratch/chromium" \
        --hide-scrollbars --window-size=1300,1130 --screenshot="$scratch/report.png" \
        "file://$PWD/$experiment/report/index.html" 2>/dev/null
    docs/images/compose.py --row "$scratch/report.png" --out docs/images/report.jpg
else
    echo "make.sh: report.jpg is left as it is: there is no chromium to show the report" >&2
fi
