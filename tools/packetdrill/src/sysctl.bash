# SPDX-License-Identifier: GPL-2.0
#
# Read by every bash that a script starts (BASH_ENV): the one form of sysctl
# that scripts use, without a process. Every other form is the real one's.
sysctl() {
	local arg status=0
	for arg; do
		case $arg in
		-q | -w | -qw) ;;
		-*) command sysctl "$@"; return ;;
		*=*) ;;
		*) command sysctl "$@"; return ;;
		esac
	done
	for arg; do
		case $arg in -*) continue ;; esac
		local name=${arg%%=*}
		echo "${arg#*=}" >"/proc/sys/${name//.//}" || status=1
	done
	return $status
}
