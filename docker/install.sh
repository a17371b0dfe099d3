#!/bin/sh
# Installs what an image needs before the project itself; docker/Dockerfile calls it, as root. SKINMTL_IMAGE says which
# image: cpu, gpu or torch. Where the base has the engine already (the caffe program with pycaffe for python3, or
# PyTorch), what the base has stays as it is, and only what python3 lacks comes from pip. Nothing is compiled.
set -eu

here=$(dirname "$(readlink -f "$0")")
export DEBIAN_FRONTEND=noninteractive
export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_ONLY_BINARY=:all:
# Debian's Python 3.11 and later wants this said: nothing but this project's image is changed
export PIP_BREAK_SYSTEM_PACKAGES=1

case ${SKINMTL_IMAGE:-} in
cpu) engine=caffe list=packages.txt ;;
gpu) engine=caffe list=packages-gpu.txt ;;
torch) engine=torch list=packages-torch.txt ;;
*)
    echo "install.sh: SKINMTL_IMAGE is '${SKINMTL_IMAGE:-}': cpu, gpu or torch" >&2
    exit 1
    ;;
esac

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

base_has_the_engine() {
    if [ $engine = caffe ] && ! command -v caffe >/dev/null; then
        return 1
    fi
    command -v python3 >/dev/null && GLOG_minloglevel=3 python3 -c "import $engine" 2>/dev/null
}

# An archive's Release file may have expired, its signature is checked all the same.
prepare_apt() {
    components=main
    if [ "$SKINMTL_IMAGE" = gpu ]; then
        components="main contrib non-free"
        sed -i -E "s/^(deb .*) main\$/\1 $components/" /etc/apt/sources.list
    fi
    if [ -n "${APT_MIRROR:-}" ]; then
        # shellcheck source=/dev/null
        codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
        # shellcheck disable=SC2086  # several words
        "$here/debian_sources.sh" "$APT_MIRROR" "$codename" $components >"$here/sources.list"
        rm -f /etc/apt/sources.list.d/*
        mv "$here/sources.list" /etc/apt/sources.list
    fi
    apt-get -o Acquire::Check-Valid-Until=false update ||
        fail "apt cannot read the lists of packages, as shown above: if the base's release has left the mirrors, name" \
            "Debian's archive of old releases by --build-arg APT_MIRROR=URL (docs/docker.md)"
    echo 'Acquire::Check-Valid-Until "false";' >/etc/apt/apt.conf.d/90archive # for who goes on from the image
}

install_packages() { # LIST
    prepare_apt
    sed -e 's/#.*//' "$here/$1" | xargs apt-get install -y --no-install-recommends ||
        fail "apt cannot install the packages of $1, as shown above: is the base of another release? (docs/docker.md)"
    apt-get clean
    rm -rf /var/lib/apt/lists/*
}

# What the base has is a constraint: another numpy or protobuf would break the engine that was built for it.
complete_the_base() {
    touch "$here/base_is_given" # for check_image.sh
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 7))' ||
        fail "the base has $(python3 --version): the tools need Python 3.7 or later"
    missing=$(python3 "$here/check_libraries.py" missing $engine)
    [ -n "$missing" ] || return 0
    if ! python3 -m pip --version >/dev/null 2>&1; then
        command -v apt-get >/dev/null || fail "the base has no pip and no apt-get to get it: install pip in it first"
        apt-get update
        apt-get install -y --no-install-recommends python3-pip
        apt-get clean
        rm -rf /var/lib/apt/lists/*
    fi
    constraints=$(mktemp)
    # not freeze, which names a place in place of the version where conda has installed; a distribution's own kinds of
    # version would stop pip
    python3 -m pip list --format=freeze |
        grep -E '^[A-Za-z0-9._-]+==[0-9]+(\.[0-9]+)*((a|b|rc|\.post|\.dev)[0-9]+)*(\+[a-z0-9.]+)?$' >"$constraints" || true
    # shellcheck disable=SC2086  # several names
    python3 -m pip install --constraint "$constraints" $missing ||
        fail "pip cannot add $missing to what the base has, as shown above: install them in the base first"
    rm "$constraints"
}

# The library where python3, and the Python inside caffe, look by themselves; whatever PYTHONPATH the base has stays.
put_on_path() {
    packages=$(python3 -c 'import site; print(site.getsitepackages()[0])')
    mkdir -p "$packages"
    echo /opt/skinmtl/python >"$packages/skinmtl.pth"
    mkdir -p /usr/local/bin
    ln -sf /opt/skinmtl/docker/check_image.sh /usr/local/bin/
    printf '#!/bin/sh\nexec python3 /opt/skinmtl/tools/commands.py "$@"\n' >/usr/local/bin/skinmtl
    chmod 755 /usr/local/bin/skinmtl
    if [ $engine = torch ]; then
        printf '#!/bin/sh\nexec python3 -m caffe_torch.command "$@"\n' >/usr/local/bin/caffe-torch
        chmod 755 /usr/local/bin/caffe-torch
    fi
    if ! command -v pytest >/dev/null; then
        ln -s "$(command -v pytest-3)" /usr/local/bin/pytest
    fi
}

# /work is what the user mounts. matplotlib's list of fonts is made once, here, instead of in every container.
make_folders() {
    getent passwd 1000 >/dev/null || useradd --create-home --uid 1000 caffe
    install -d -o 1000 -g 1000 /work
    install -d -m 1777 /var/cache/skinmtl
    MPLCONFIGDIR=/var/cache/skinmtl PYTHONDONTWRITEBYTECODE=1 python3 -c 'import matplotlib.font_manager'
}

if base_has_the_engine; then
    echo "The base has $engine: it stays as it is."
    complete_the_base
else
    install_packages "${PACKAGES:-$list}"
    if [ $engine = torch ]; then
        python3 -m pip install --requirement "$here/requirements-torch.txt"
    fi
fi
put_on_path
make_folders
{ dpkg-query --show 2>/dev/null && python3 -m pip freeze 2>/dev/null; } >"$here/versions.txt" || true
