#!/bin/sh
# Makes DIR (default .caffe) from Debian 11's packages: BVLC Caffe, pycaffe and what the tools import, run in place from
# DIR/bin with no root, no chroot and no mount.
# usage: docker/make_caffe.sh [DIR]
# CAFFE_MIRROR names a Debian mirror where mmdebstrap's default no longer has Debian 11 (the archive, say).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
target=${1:-.caffe}
suite=bullseye
libraries=usr/lib/x86_64-linux-gnu

fail() {
    echo "make_caffe.sh: $*" >&2
    exit 1
}

packages() {
    sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$here/packages.txt" | paste -sd, -
}

install_mmdebstrap() {
    command -v mmdebstrap >/dev/null && [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] && return
    command -v apt-get >/dev/null ||
        fail "mmdebstrap is missing: install mmdebstrap and debian-archive-keyring, or use Docker (docker/Dockerfile)"
    [ "$(id -u)" = 0 ] ||
        fail "mmdebstrap is missing: run 'apt-get install mmdebstrap debian-archive-keyring' as root, or use Docker (docker/Dockerfile)"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mmdebstrap debian-archive-keyring >/dev/null
}

# One launcher for every program: it finds its own folder, so that DIR can be moved.
launcher() { # NAME PROGRAM-BELOW-DIR [ARGUMENT...]
    name=$1
    program=$2
    shift 2
    cat >"$partial/bin/$name" <<LAUNCHER
#!/bin/sh
root=\$(dirname "\$(dirname "\$(readlink -f "\$0")")")
export PYTHONHOME="\$root/usr"
exec "\$root/lib/x86_64-linux-gnu/ld-2.31.so" --library-path \\
    "\$root/$libraries/openblas-pthread:\$root/$libraries:\$root/lib/x86_64-linux-gnu:\$root/usr/lib" \\
    "\$root/$program" $* "\$@"
LAUNCHER
    chmod 755 "$partial/bin/$name"
}

# Debian's configuration names absolute paths: point Python and matplotlib into DIR, and keep PYTHONHOME from the
# programs that Python starts.
configure_python() {
    rm -f "$partial/usr/lib/python3.9/sitecustomize.py"
    cat >"$partial/usr/lib/python3.9/sitecustomize.py" <<'PYTHON'
"""The launcher's settings end here: children get the caller's environment, and sys.executable the launcher."""
import os
import sys

home = os.environ.pop("PYTHONHOME", None)
if home:
    sys.executable = os.path.join(os.path.dirname(home), "bin", "python3")
PYTHON
    if [ -d "$partial/usr/lib/python3/dist-packages/matplotlib" ]; then
        ln -sfn ../../../../share/matplotlib/mpl-data "$partial/usr/lib/python3/dist-packages/matplotlib/mpl-data"
    fi
}

check() { # the environment in $partial says for itself what it is
    "$partial/bin/caffe" --version | grep -q '^caffe version 1' || fail "the caffe program does not start"
    "$partial/bin/python3" - <<'PYTHON' || fail "pycaffe does not import, or runs on the reference BLAS"
import caffe
maps = open("/proc/self/maps").read()
assert "openblas-pthread/" in maps, "OpenBLAS is not loaded"
PYTHON
}

if [ -f "$target/packages.txt" ] && cmp -s "$target/packages.txt" "$here/packages.txt"; then
    exit 0
fi
[ "$(uname -m)" = x86_64 ] || fail "Debian's Caffe is run in place on x86_64 only: use Docker (docker/Dockerfile)"
install_mmdebstrap

partial=$target.partial.$$
trap 'rm -rf "$partial"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# shellcheck disable=SC2086  # an empty CAFFE_MIRROR is no argument at all
mmdebstrap --variant=extract --architectures=amd64 --include="$(packages)" "$suite" "$partial" ${CAFFE_MIRROR:-} ||
    fail "Debian 11's packages could not be had; if the mirror has dropped it, CAFFE_MIRROR=URL names one that has it"
rm -rf "$partial/usr/share/doc" "$partial/usr/share/man" "$partial/usr/share/locale" "$partial/var"
mv "$partial/bin" "$partial/bin.debian"
mkdir "$partial/bin"
for program in caffe convert_imageset compute_image_mean extract_features; do
    launcher "$program" "usr/bin/$program"
done
launcher python3 usr/bin/python3.9
launcher pytest usr/bin/python3.9 -m pytest
configure_python
check
cp "$here/packages.txt" "$partial/packages.txt"
rm -rf "$target"
mv "$partial" "$target"
echo "$target is ready: PATH=$target/bin:\$PATH"
