#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# wait-closed.sh [SECONDS]: waits until no socket of RustNet's is left, so that the module can go.
#
# A connection that its user has closed lives on until the peer has acknowledged its FIN or the
# retransmissions are over (100 s): over a lossy link, or after the peer's namespace has gone, that
# takes its time. Nothing tells when the last one ends, so the module is asked once a second.
# Every socket, of whichever namespace, holds a reference to the module.
left() { cat /sys/module/rustnet/refcnt 2>/dev/null || echo 0; }
end=$(($(date +%s) + ${1:-240}))
while [ "$(left)" != 0 ]; do
	[ "$(date +%s)" -lt "$end" ] || { echo "# $(left) sockets are left"; exit 1; }
	sleep 1
done
