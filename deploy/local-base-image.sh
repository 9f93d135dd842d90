#!/bin/sh
# Makes the image NAME out of Debian's packages, with Python and nothing else, for machines that reach no image registry.
# Needs root on a Debian or Ubuntu, mmdebstrap, and an engine: docker or podman.
set -eu

if [ $# -ne 2 ]; then
    echo "usage: $0 ENGINE NAME" >&2
    exit 2
fi
engine=$1
name=$2

command -v mmdebstrap >/dev/null || {
    echo "$0 needs mmdebstrap: apt-get install mmdebstrap" >&2
    exit 1
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mmdebstrap --quiet --variant=minbase --include=ca-certificates,python3-venv bookworm "$folder/base.tar"
"$engine" import "$folder/base.tar" "$name"
