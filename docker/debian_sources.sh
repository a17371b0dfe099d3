#!/bin/sh
# Prints the apt sources of a Debian release on one mirror: the release itself, and its updates and security updates
# where the mirror has them. Debian's archive of old releases and dated snapshots have the latter beside .../debian, in
# .../debian-security; a mirror without them is said on stderr.
# usage: docker/debian_sources.sh MIRROR CODENAME COMPONENT...    (make_caffe.sh and install.sh call it)
set -eu

mirror=${1%/}
release=$2
shift 2
security=$(echo "$mirror" | sed -E 's,/debian(/.*)?$,/debian-security\1,')
probe=$(mktemp -d)
trap 'rm -rf "$probe"' EXIT

has() { # MIRROR SUITE
    /usr/lib/apt/apt-helper -o Acquire::Retries=1 -o Acquire::http::Timeout=30 \
        download-file "$1/dists/$2/InRelease" "$probe/InRelease" >"$probe/log" 2>&1
}

echo "deb $mirror $release $*"
if has "$mirror" "$release-updates"; then
    echo "deb $mirror $release-updates $*"
fi
if [ "$security" != "$mirror" ] && has "$security" "$release-security"; then
    echo "deb $security $release-security $*"
elif [ "$security" != "$mirror" ] && has "$security" "$release/updates"; then # its name up to Debian 10
    echo "deb $security $release/updates $*"
else
    echo "debian_sources.sh: no security updates of $release beside $mirror: going on without them" >&2
fi
