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

# inputs PATH...: a stamp of the sources there (paths within the checkout), of the toolchain and of $BUILT_AGAINST.
inputs() {
	{
		(cd "$REPO" && find "$@" -type f -not -path '*/target/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
		cat "$ROOT/.stamp"
		printf '%s\n' "${BUILT_AGAINST:-}" "${KCFLAGS:-}" "${KRUSTFLAGS:-}" "${RUSTFLAGS:-}"
	} | sha256sum | cut -c1-16
}

# built NAME STAMP: true if $BUILD/NAME is made from these inputs. What another checkout has made from them is taken over.
built() {
	local other new
	fresh "$BUILD/$1" "$2" && return
	for other in "$CACHE"/build/*/"$1"; do
		fresh "$other" "$2" || continue
		new=$(mktemp -d "$CACHE/tmp/built.XXXXXX")
		# Unless it is being built anew meanwhile.
		if cp -a "$other/." "$new/" && fresh "$other" "$2"; then publish "$new" "$BUILD/$1" "$2"; return; fi
		rm -rf "$new"
	done
	return 1
}

# cargo_target WORKSPACE: cargo's target directory, as it is named inside the root. A checkout without one begins with
# that of another, for most of it are libraries from elsewhere; not with the workspace's own, see BUILD.
cargo_target() {
	local name=cargo-${1//\//-} other new crate
	for other in "$CACHE"/build/*/"$name"; do
		[[ ! -e $BUILD/$name && -d $other ]] || continue
		new=$(mktemp -d "$CACHE/tmp/target.XXXXXX")
		if copy_target "$other" "$new"; then
			while read -r crate; do rm -rf "$new"/*/.fingerprint/"$crate"-*; done < <(
				find "$REPO/$1" -name Cargo.toml -exec sed -nE 's/^name = "(.*)"/\1/p' {} +)
			mkdir -p "$BUILD"
			chmod 755 "$new"
			mv -T "$new" "$BUILD/$name" 2>/dev/null || :
		fi
		rm -rf "$new"
	done
	printf '%s\n' "$(in_root_path "$BUILD")/$name"
}

# copy_target FROM TO: unless cargo writes there, which then holds a lock for each profile.
copy_target() (
	for lock in "$1"/*/.cargo-lock; do
		exec {fd}<"$lock" && flock -ns "$fd" || exit
	done
	cp -a "$1/." "$2/"
)
