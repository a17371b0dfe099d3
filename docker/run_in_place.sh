#!/bin/sh
# Turns a folder of unpacked Debian 11 packages into one whose programs run in place, and checks that they do.
# usage: docker/run_in_place.sh TREE    (make_caffe.sh calls it)
set -eu

here=$(cd "$(dirname "$0")" && pwd)
tree=$(cd "$1" && pwd -P)
programs="caffe convert_imageset compute_image_mean extract_features python3.9"
libraries=usr/lib/x86_64-linux-gnu
packages=usr/lib/python3/dist-packages

fail() {
    echo "run_in_place.sh: $*" >&2
    exit 1
}

# What stays is what the programs load: the libraries, Python, and matplotlib's data. Neither device files nor
# programs with another user's rights are left behind.
trim() {
    mkdir "$tree/keep"
    for program in $programs; do
        mv "$tree/usr/bin/$program" "$tree/keep/"
    done
    for folder in matplotlib javascript; do
        mv "$tree/usr/share/$folder" "$tree/keep/"
    done
    (
        cd "$tree"
        find . -mindepth 1 -maxdepth 1 ! -name keep ! -name usr ! -name lib -exec rm -rf {} +
        find usr -mindepth 1 -maxdepth 1 ! -name 'lib*' -exec rm -rf {} +
        rm -rf usr/libexec lib/systemd lib/udev lib/modprobe.d lib/init lib/terminfo usr/lib/valgrind \
            "$libraries"/perl* "$libraries/libgphoto2" "$libraries/mfx" "$packages/skimage/data"/*.tif
        mkdir -p usr/bin usr/share
        for program in $programs; do
            mv "keep/$program" usr/bin/
        done
        mv keep/* usr/share/
        rmdir keep
        find . -type f -perm /6000 -exec chmod a-s {} +
    )
}

# Each launcher finds its own folder, so that TREE can be moved; but for OpenBLAS's kernels the environment stays as it is,
# so that the program's children run as their caller would run them. Packages of the user's own home stay out (-s), as in Docker.
launcher() { # NAME PROGRAM [ARGUMENT...]
    name=$1
    program=$2
    shift 2
    python_home=
    case $program in
    # the Python inside, which runs layers of type "Python", is told by variables what python3.9 sees by its own place
    # and -s; sitecustomize.py takes them away again
    caffe) python_home="export PYTHONHOME=\"\$caffe_root/usr\" PYTHONNOUSERSITE=1" ;;
    esac
    cat >"$tree/bin/$name" <<LAUNCHER
#!/bin/sh
caffe_root=\$(dirname "\$(dirname "\$(readlink -f "\$0")")")
$python_home
$core_type
caffe_libraries=\$caffe_root/$libraries/openblas-pthread:\$caffe_root/$libraries
caffe_libraries=\$caffe_libraries:\$caffe_root/lib/x86_64-linux-gnu:\$caffe_root/usr/lib
exec "\$caffe_root/lib/x86_64-linux-gnu/ld-2.31.so" --library-path "\$caffe_libraries" \\
    "\$caffe_root/usr/bin/$program"${*:+ $*} "\$@"
LAUNCHER
    chmod 755 "$tree/bin/$name"
}

# Debian 11's OpenBLAS takes a processor that is newer than itself for one of 2004, and is then three times as slow as by
# its kernels for AVX2. What a user sets holds.
choose_core_type() {
    core_type=
    launcher python3 python3.9 -s
    taken=$("$tree/bin/python3" -c "import ctypes
library = ctypes.CDLL('libopenblas.so.0')
library.openblas_get_corename.restype = ctypes.c_char_p
print(library.openblas_get_corename().decode())") || fail "OpenBLAS does not say which processor it sees"
    if [ "$taken" = Prescott ]; then
        # by what the shell itself can do: it starts no program that a Ctrl-C could meet
        core_type="while read -r field flags; do case \"\$field \$flags \" in \"flags \"*\" avx2 \"*)"
        core_type="$core_type export OPENBLAS_CORETYPE=\"\${OPENBLAS_CORETYPE:-Haswell}\" && break ;; \"flags \"*) break ;;"
        core_type="$core_type esac; done 2>/dev/null </proc/cpuinfo"
    fi
}

# Debian names absolute paths in two places: its own sitecustomize, and matplotlib's data folder.
configure_python() {
    rm -f "$tree/usr/lib/python3.9/sitecustomize.py"
    cat >"$tree/usr/lib/python3.9/sitecustomize.py" <<'PYTHON'
"""Python starts itself again through its launcher: the program file alone would run on this machine's libraries."""
import os
import sys

sys.executable = sys._base_executable = sys.prefix[: -len("/usr")] + "/bin/python3"
if os.environ.get("PYTHONHOME") == sys.prefix:  # set by the launcher of caffe
    del os.environ["PYTHONHOME"]
    os.environ.pop("PYTHONNOUSERSITE", None)
PYTHON
    # the library of the clone that TREE stands in, so that caffe train finds its layers; no such folder: no harm
    echo ../../../../../python >"$tree/$packages/skinmtl-clone.pth"
    sed -i -e "s|'/usr/share/matplotlib/mpl-data'|sys.prefix + '/share/matplotlib/mpl-data'|" \
        -e "s|'/etc/matplotlibrc'|sys.prefix + '/share/matplotlib/mpl-data/matplotlibrc'|" \
        "$tree/$packages/matplotlib/__init__.py"
}

# The imports leave their bytecode behind, so that the first run of a tool is as fast as the next.
check() {
    "$tree/bin/caffe" --version 2>&1 | grep '^caffe version 1' || fail "the caffe program does not start"
    for program in convert_imageset compute_image_mean; do
        "$tree/bin/$program" --version 2>&1 | grep "^$program" || fail "$program does not start"
    done
    { "$tree/bin/extract_features" 2>&1 || true; } | grep '^Usage' || fail "extract_features does not start"
    PYTHONDONTWRITEBYTECODE="" "$tree/bin/pytest" --version || fail "pytest does not start"
    PYTHONDONTWRITEBYTECODE="" MPLCONFIGDIR="$tree" "$tree/bin/python3" "$here/check_libraries.py" check caffe \
        --root "$tree/" || fail "pycaffe does not work"
    rm -f "$tree"/fontlist*.json*
    # a layer of type "Python" in the caffe program itself
    PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$here/probes" \
        "$tree/bin/caffe" time -model "$here/probes/python_layer.prototxt" -iterations 1 ||
        fail "layers in Python do not run in caffe"
}

trim
mkdir "$tree/bin"
choose_core_type
for program in caffe convert_imageset compute_image_mean extract_features; do
    launcher "$program" "$program"
done
launcher python3 python3.9 -s
launcher pytest python3.9 -s -m pytest
# the tools' entry point, of the clone that TREE stands in
# shellcheck disable=SC2016  # the launcher's own variable
launcher skinmtl python3.9 -s '"$caffe_root/../tools/commands.py"'
configure_python
check
