# shellcheck shell=sh disable=SC2034,SC2154  # who reads this sets out, and uses engine
# What the demos share; demo.sh and demo_mask.sh read it. It needs $out, the folder of the demo.
# ENGINE=torch: through caffe-torch, on a PATH that has it.

case ${ENGINE:-caffe} in
caffe)
    caffe="caffe"
    engine=
    ;;
torch)
    caffe="caffe-torch"
    engine="--engine torch"
    ;;
*)
    echo "ENGINE is $ENGINE; give caffe or torch" >&2
    exit 2
    ;;
esac

step() { # COMMAND...: shows it, then runs it
    echo "\$ $*"
    "$@"
}

# Caffe logs hundreds of lines before its first iteration: all of it goes to a file, the losses to the screen, and what
# it says when it gives up.
train() { # FLAGS...
    echo "\$ $caffe train $*"
    {
        $caffe train "$@" 2>&1 || echo failed >"$out/failed"
    } | tee "$out/train.log" | grep -o 'Iteration [0-9]* (.*' || true
    if [ -e "$out/failed" ]; then
        { grep '^F' "$out/train.log" || tail -n 5 "$out/train.log"; } >&2
        echo "$caffe train failed as shown; all that it said is in $out/train.log" >&2
        exit 1
    fi
}
