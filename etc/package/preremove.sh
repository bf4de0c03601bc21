#!/bin/sh
# Before the files go. An upgrade leaves the running daemon alone: Debian says
# "upgrade", RPM says 1.
set -e
case "$1" in
upgrade | 1) exit 0 ;;
esac
[ -d /run/systemd/system ] || exit 0
systemctl --quiet disable --now director || :
