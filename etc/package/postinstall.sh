#!/bin/sh
# After the files are in place, at the first installation and at each upgrade.
set -e

# Scripts run as this user unless the configuration names another.
getent passwd director_script >/dev/null ||
	useradd --system --no-create-home --home-dir / --shell /usr/sbin/nologin director_script

[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload || :
if systemctl --quiet is-active director; then
	# A restart hands the addresses to the peer and back: that is the operator's to time.
	echo "director: the version that runs goes on; 'systemctl restart director' starts the new one"
elif [ ! -e /etc/director/director.toml ]; then
	echo "director: write /etc/director/director.toml, then 'systemctl enable --now director'"
fi
