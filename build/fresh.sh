#!/usr/bin/env bash
# Runs make's targets the way a person with a new Debian 12 would: a minimal system with git, make and certificates, a clone of
# the last commit, nothing else. Needs root, debootstrap and a network; the new system uses this machine's network settings,
# certificates, and mirrors, but none of its caches.
#
#   build/fresh.sh /tmp/fresh demo test     makes the system under /tmp/fresh, then runs make demo and make test in it
#
# The folder is left for a look; `rm -rf --one-file-system` takes it away.
set -euo pipefail

root=${1:?usage: build/fresh.sh DIR TARGET...}
shift
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { echo "fresh: $*" >&2; }

# Made here, so that nothing of it is another user's: in /tmp anybody can put a link under a name that is known.
mkdir -m 755 "$root" || {
	say "name a new folder"
	exit 1
}
log=$root/debootstrap.log
say "Debian 12 in $root"
debootstrap --variant=minbase --include=git,make,ca-certificates bookworm "$root" >"$log" 2>&1 || {
	say "debootstrap failed: see $log"
	exit 1
}
for file in /etc/resolv.conf /etc/hosts /etc/pip.conf "$HOME/.cargo/config.toml" "$HOME/.config/go/env" "$HOME/.config/pip/pip.conf"; do
	[[ ! -f $file ]] || install -D -m 644 "$(realpath "$file")" "$root$file"
done
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
# The security updates, as every installed Debian has them, from the same place as the rest.
sed -nE 's|^deb (.*)/debian/? bookworm main|deb \1/debian bookworm-updates main\ndeb \1/debian-security bookworm-security main|p' \
	"$root/etc/apt/sources.list" >"$root/etc/apt/sources.list.d/updates.list"
git clone --quiet --no-hardlinks "$top" "$root/root/trtdet"
# shellcheck disable=SC2064 # the folder of now
trap "umount '$root/proc' '$root/dev/pts' '$root/dev'" EXIT
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
# A test runs the program on a terminal.
mount --bind /dev/pts "$root/dev/pts"

mapfile -t settings < <(env | grep -E '^(PIP_(CERT|INDEX_URL|DEFAULT_TIMEOUT)|SSL_CERT_FILE|GOPROXY|GOSUMDB|[A-Za-z]+_[Pp][Rr][Oo][Xx][Yy])=' || true)
for target in "$@"; do
	from=$SECONDS
	chroot "$root" env -i HOME=/root TERM=dumb CI=true PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		${settings[@]+"${settings[@]}"} make -C /root/trtdet "$target" </dev/null || {
		say "make $target failed after $((SECONDS - from)) s"
		exit 1
	}
	say "make $target: $((SECONDS - from)) s"
done
