#!/bin/sh
# Makes DIR (default .caffe) from Debian 11's packages: BVLC Caffe, pycaffe and what the tools import, run in place from
# DIR/bin with no root, no chroot and no mount. Does nothing where DIR is made from the same packages.txt and
# run_in_place.sh already.
# usage: docker/make_caffe.sh [DIR]
# CAFFE_MIRROR names a mirror, for when mmdebstrap's default no longer has Debian 11: the URL of Debian's archive of old
# releases, say, with its updates and security updates; or what else mmdebstrap takes, a file of apt sources among them.
set -eu
umask 022

here=$(cd "$(dirname "$0")" && pwd)
target=${1:-.caffe}
target=${target%/}
work=$target.partial.$$ # a killed run's number is free again, by which the next run knows what to clear away
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
needed="mmdebstrap and debian-archive-keyring"
worker=

fail() {
    echo "make_caffe.sh: $*" >&2
    exit 1
}

show_and_fail() {
    grep -v 'chrootless mode as root' "$work/log" | tail -n 20 >&2
    fail "$*"
}

# A step runs apart from this shell, with all that it starts in one group, so that a signal ends the whole group at
# once: mmdebstrap by itself ends what it is at first. Its number is left for the next run, should this one be killed.
run() { # COMMAND...
    setsid "$@" >>"$work/log" 2>&1 &
    worker=$!
    echo "$worker" >"$work/worker"
    status=0
    wait "$worker" || status=$?
    worker=
    return "$status"
}

clean_up() {
    trap '' INT TERM HUP
    if [ -n "$worker" ]; then
        kill -s KILL -- "-$worker" 2>/dev/null || true
    fi
    if [ -d "$work/old" ] && [ ! -e "$target" ]; then
        mv "$work/old" "$target"
    fi
    remove "$work"
}

remove() { # FOLDER, twice where a process that is just ending has still written into it
    rm -rf "$1" 2>/dev/null || { sleep 1 && rm -rf "$1"; }
}

command_of() { # PROCESS
    tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" || true
}

refuse_or_clear_other_runs() {
    for other in "$target".partial.*; do
        [ -d "$other" ] || continue
        number=${other##*.}
        case $(command_of "$number") in
        *make_caffe*) fail "process $number is making $target already: wait for it, or end it" ;;
        esac
        orphan=$(cat "$other/worker" 2>/dev/null || true)
        case $(command_of "${orphan:-none}") in
        *"$other"*) kill -s KILL -- "-$orphan" 2>/dev/null || true ;;
        esac
        remove "$other"
    done
}

install_mmdebstrap() {
    command -v mmdebstrap >/dev/null && [ -e "$keyring" ] && return
    command -v apt-get >/dev/null ||
        fail "install $needed with this system's package manager, or use Docker: docs/docker.md"
    [ "$(id -u)" = 0 ] ||
        fail "run 'apt-get install mmdebstrap debian-archive-keyring' as root first, or use Docker: docs/docker.md"
    echo "Installing $needed ..."
    { run apt-get update && run env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends mmdebstrap debian-archive-keyring; } ||
        show_and_fail "apt-get cannot install $needed as shown above: put that right, or use Docker: docs/docker.md"
}

packages() {
    sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$here/packages.txt" | paste -sd, -
}

# mmdebstrap's chrootless mode needs neither root nor user namespaces: this variant unpacks packages and runs nothing
# of them. An archive's Release file may have expired long ago; its signature is checked all the same.
fetch() {
    sources=${CAFFE_MIRROR:-}
    case $sources in
    "deb "*) ;;
    *:/*)
        "$here/debian_sources.sh" "$sources" bullseye main >"$work/sources.list"
        sources=$(cd "$work" && pwd)/sources.list
        ;;
    esac
    set -- --mode=chrootless --variant=extract --architectures=amd64 --keyring="$keyring" \
        --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "2"' --aptopt='Acquire::http::Timeout "30"' \
        ${CAFFE_MIRROR:+--aptopt='Acquire::Check-Valid-Until "false"'} \
        --include="$(packages)" bullseye "$work/tree" ${sources:+"$sources"}
    # absolute, since mmdebstrap changes its folder
    mkdir "$work/tmp"
    TMPDIR=$(cd "$work/tmp" && pwd) run mmdebstrap "$@"
}

explain() { # REASON-IF-THE-LOG-HAS-NONE
    reason=$1
    mirror=${CAFFE_MIRROR:-"mmdebstrap's default mirror"}
    another="set CAFFE_MIRROR to the URL of Debian's archive of old releases, or of another mirror that has Debian 11"
    another="$another (bullseye): docs/docker.md"
    if grep -Eq 'No space left on device|enough free space' "$work/log"; then
        reason="the disk is full: $target needs 1.5 GB while it is made"
    elif grep -Eq 'NO_PUBKEY|BADSIG|EXPKEYSIG|REVKEYSIG|is not signed|signatures (were|could)' "$work/log"; then
        reason="$mirror is not signed by Debian's keys ($keyring), so nothing of it is used: $another"
    elif grep -Eq 'is (expired|not valid yet)|Release file .* expired' "$work/log"; then
        reason="Debian 11 on $mirror is past its date (or this machine's clock is wrong): $another"
    elif grep -Eq '404|does not have a Release file|[Uu]nable to locate package' "$work/log"; then
        reason="$mirror no longer has Debian 11: $another"
    elif grep -Eq 'Could not (resolve|connect)|Temporary failure|Connection (refused|timed out)|[Uu]nreachable' \
        "$work/log"; then
        reason="$mirror cannot be reached: check the network (http_proxy), or $another"
    fi
    show_and_fail "$reason"
}

# The rename refuses a folder that another run has put there meanwhile, which is then as good as ours.
swap_in() {
    trap '' INT TERM HUP
    if [ -e "$target" ]; then
        mv -T "$target" "$work/old"
    fi
    mv -T "$work/tree" "$target"
}

if cmp -s "$target/packages.txt" "$here/packages.txt" && cmp -s "$target/run_in_place.sh" "$here/run_in_place.sh"; then
    exit 0
fi
[ "$(uname -sm)" = "Linux x86_64" ] ||
    fail "Debian's Caffe runs in place on x86_64 Linux only, this is $(uname -sm): use Docker: docs/docker.md"
command -v setsid >/dev/null || fail "setsid is missing: install util-linux, or use Docker: docs/docker.md"
refuse_or_clear_other_runs
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir -p "$work" || fail "$work cannot be made: choose a folder that you may write to"
install_mmdebstrap
echo "Making $target from Debian 11's packages: about 260 MB to download, a minute or two ..."
fetch || explain "mmdebstrap failed as shown above"
run "$here/run_in_place.sh" "$work/tree" || explain "the packages came, but do not work here, as shown above"
cp "$here/packages.txt" "$here/run_in_place.sh" "$work/tree/"
swap_in
echo "$target is ready ($(du -sm "$target" | cut -f1) MB): PATH=$target/bin:\$PATH"
