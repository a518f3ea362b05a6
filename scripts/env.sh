# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Names and small functions that every script here shares. Sourced, never run.

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
CACHE=${RUSTNET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rustnet}
ROOT=$CACHE/root        # The Debian 13 toolchain root.
KERNEL=$CACHE/kernel    # kernel/src (KDIR), kernel/stock (image and modules), kernel/release.
GUEST=$CACHE/guest      # The guest's base archives.

# What is built from a checkout is kept by the checkout's own path: two clones
# appear at the same /src inside the root, and mtimes alone would let the one
# take the other's objects for its own.
BUILD=$CACHE/build/$(basename "$REPO")-$(printf %s "$REPO" | sha256sum | cut -c1-12)

# The same places as they are named inside the root.
in_root_path() {
	case $1 in
	"$REPO" | "$REPO"/*)   printf '/src%s\n' "${1#"$REPO"}" ;;
	"$CACHE" | "$CACHE"/*) printf '/cache%s\n' "${1#"$CACHE"}" ;;
	*)                     printf '%s\n' "$1" ;;
	esac
}

say()  { printf '%s\n' "$*" >&2; }
die()  { printf 'rustnet: %s\n' "$1" >&2; shift; for l in "$@"; do printf '         %s\n' "$l" >&2; done; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
hash_of() { cat "$@" | sha256sum | cut -c1-16; }

# fresh ENTRY STAMP: true if the cache entry is whole and made from these inputs.
fresh() { [[ -r $1/.stamp && $(<"$1/.stamp") == "$2" ]]; }

# publish TEMP ENTRY STAMP: a finished directory becomes the cache entry. The
# stamp is written last and the rename is one step, so that an interrupted
# run leaves either the old entry or the new one.
publish() {
	printf '%s\n' "$3" >"$1/.stamp"
	chmod 755 "$1"	# mktemp made it for its owner alone.
	if [[ -e $2 ]]; then
		local old
		old=$(mktemp -d "$CACHE/tmp/old.XXXXXX")
		mv -T "$2" "$old/entry"
		mv -T "$1" "$2"
		rm -rf --one-file-system "$old"
	else
		mkdir -p "$(dirname "$2")"
		mv -T "$1" "$2"
	fi
}
