#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# packetdrill-suite.sh FAMILY [PATTERN…]: in the guest: runs the scripts of the
# present directory whose names match one of the patterns (all without any) that
# are written for IPv4, and prints KTAP. If there is a program ./original in the
# directory, that is run instead of RustNet's own runner: Linux's packetdrill,
# through librustnet_preload.so.
set -u
shopt -s nullglob

family=$1
shift

# The clock counts instructions, and whatever takes long there shows as lateness.
tolerance=--tolerance_usecs=14000
# These allow themselves more, and the command line would win.
patient=' tcp_timestamping_tcp_tx_timestamp_bug tcp_accecn_ipflags_drop '
# As tools/testing/selftests/net/packetdrill/ksft_runner.sh has them.
defines=(-D TFO_COOKIE=3021b9d889017eeb -D TFO_COOKIE_ZERO=b7c12350a90dc8f5
	 -D CMSG_LEVEL_IP=SOL_IP -D CMSG_TYPE_RECVERR=IP_RECVERR)

wanted() {	# wanted NAME PATTERN…
	local name=$1 p
	shift
	[[ $# -gt 0 ]] || return 0
	for p; do
		# shellcheck disable=SC2053 # It is a pattern.
		[[ $name == ${p%.pkt} ]] && return 0
	done
	return 1
}

[[ -e /dev/net/tun ]] || modprobe tun

strict=() late=()
for f in *.pkt; do
	name=${f%.pkt}
	wanted "$name" "$@" || continue
	grep -q '^--ip_version=ipv6' "$f" && continue
	case $patient in
	*" $name "*) late+=("$f") ;;
	*)           strict+=("$f") ;;
	esac
done
[[ $(( ${#strict[@]} + ${#late[@]} )) -gt 0 ]] || { echo "no script matches: $*" >&2; exit 2; }

if [[ ! -x ./original ]]; then
	status=0
	[[ ${#strict[@]} == 0 ]] || packetdrill --family "$family" "$tolerance" "${defines[@]}" "${strict[@]}" || status=1
	[[ ${#late[@]} == 0 ]] || packetdrill --family "$family" "${defines[@]}" "${late[@]}" || status=1
	exit $status
fi

# The original knows no family; its helpers' sockets have protocol 0 and stay the host's.
prepare=:
preload=()
if [[ $family == rustnet ]]; then
	prepare='sysctl -q -w net.rustnet.mode=replace'
	preload=(LD_PRELOAD=/usr/local/bin/librustnet_preload.so RUSTNET_PRELOAD_CHILDREN=no)
fi
export prepare
network=(--ip_version=ipv4 --local_ip=192.168.0.1 --gateway_ip=192.168.0.1
	 --netmask_ip=255.255.0.0 --remote_ip=192.0.2.1)

n=0 status=0
echo "KTAP version 1"
echo "1..$(( ${#strict[@]} + ${#late[@]} ))"
for f in "${strict[@]}" "${late[@]}"; do
	n=$((n + 1))
	allow=("$tolerance")
	[[ $patient != *" ${f%.pkt} "* ]] || allow=()
	if out=$(unshare -n bash -c '$prepare && exec env "$@"' - "${preload[@]}" \
		 ./original "${network[@]}" "${defines[@]}" "${allow[@]}" "$f" 2>&1); then
		echo "ok $n ${f%.pkt}"
	else
		sed 's/^/# /' <<<"$out"
		echo "not ok $n ${f%.pkt}"
		status=1
	fi
done
exit $status
