#!/bin/sh
# Installs a release from its archive: install_release.sh ARCHIVE DIRECTORY
# The file .installed in the directory says that the installation got to its end.
set -eu
umask 022
archive=$1
release=$2

wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT

# What an interrupted installation left is not worth judging.
rm -rf "$release"
tar --extract --file "$archive" --directory "$wheels"
python3 -m venv --without-pip "$release"
# pip runs from Debian's wheel of it: the release itself needs none.
PYTHONPATH=$(echo /usr/share/python-wheels/pip-*.whl) "$release/bin/python" -m pip install --quiet \
    --no-index --find-links "$wheels" --require-hashes --requirement "$wheels/requirements.txt" \
    --no-cache-dir --disable-pip-version-check --no-warn-script-location --root-user-action ignore
"$release/bin/flexcore" version > /dev/null
# This archive, and any that an interrupted run left.
rm -f "${archive%/*}"/*.tar
touch "$release/.installed"
