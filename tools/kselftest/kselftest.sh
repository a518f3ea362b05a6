#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# kselftest.sh DIR: runs the self-tests of DIR/programs, each in a namespace of its own, and prints KTAP. The
# programs know AF_INET alone: the preloaded library makes their sockets RustNet's.
set -u
dir=$1
only=${2:-}

lo() { ip link set lo up; }
lo_mtu() { ip addr add dev lo 10.0.0.1/32; ip link set lo mtu 1500 up; }
route_mtu() {
	ip addr add dev lo 10.0.0.1/32
	ip link set lo up
	ip route del local 10.0.0.1/32 table local dev lo
	ip route add local 10.0.0.1/32 table local dev lo mtu 1500
}
frags() {
	ip link set lo up
	sysctl -q -w net.ipv4.ipfrag_high_thresh=9000000 net.ipv4.ipfrag_low_thresh=7000000 net.ipv4.ipfrag_time=1
}
ports() { ip link set lo up; sysctl -q -w net.ipv4.ip_local_port_range="40000 49999"; }
one() {	# one FAMILY SETUP PROGRAM ARGUMENTS…: in a new namespace.
	local family=$1
	shift
	"$1" || exit 1
	shift
	[[ $family != replace ]] || sysctl -q -w net.rustnet.mode=replace || exit 1
	if [[ $family != inet ]]; then
		export LD_PRELOAD=/usr/local/bin/librustnet_preload.so RUSTNET_PRELOAD=all
	fi
	exec timeout 200 "$@"
}
export -f ports lo lo_mtu route_mtu frags one

plan=()
while IFS='|' read -r name setup arguments families; do
	[[ -n $name && $name != \#* ]] || continue
	for family in $families; do
		line="$family $setup $dir/$name $arguments"
		[[ $line != *"$only"* ]] || plan+=("$line")
	done
done <"$dir/programs"

echo "KTAP version 1"
echo "1..${#plan[@]}"
n=0 failed=0
for line in "${plan[@]}"; do
	n=$((n + 1))
	read -ra words <<<"$line"
	title="kselftest: $(basename "${words[2]}") ${words[*]:3} [${words[1]}:${words[0]}]"
	unshare -n bash -c 'one "$@"' one "${words[@]}" </dev/null >/tmp/said 2>&1
	status=$?
	if [[ $status == 0 ]]; then
		echo "ok $n $title"
	else
		tail -n 25 /tmp/said | sed 's/^/# /'
		echo "# status $status"
		echo "not ok $n $title"
		failed=1
	fi
done
exit $failed
