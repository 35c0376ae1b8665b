#!/bin/bash
# A box for a cluster: cgroup, net, pid and mount namespaces of its own, so that the host's network, cgroups, logs and
# sysctls of the network stay as they are. BPF is the kernel's: a probe in the box sees the whole machine.
#   BOX=DIR box.sh up                makes it
#   BOX=DIR box.sh run COMMAND...    runs a command in it
#   BOX=DIR box.sh down              ends every process in it, and removes its cgroups
set -euo pipefail
name=$(basename "$BOX")

hierarchies() { # the mount points of this machine's cgroups, one or many
	awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts
}

case ${1:?up, run or down} in
up)
	mkdir -p "$BOX"/{pods,containers}
	rm -f "$BOX"/{pid,ready}
	for h in $(hierarchies); do
		mkdir -p "$h/$name"
		if [ -e "$h/cpuset.cpus" ]; then # the kubelet insists on all of them
			cat "$h/cpuset.cpus" > "$h/$name/cpuset.cpus"
			cat "$h/cpuset.mems" > "$h/$name/cpuset.mems"
		fi
	done
	setsid "$0" enter > "$BOX/log" 2>&1 < /dev/null &
	for ((i = 0; i < 100; i++)); do
		[ -e "$BOX/ready" ] && break
		sleep 0.1
	done
	[ -e "$BOX/ready" ] || { cat "$BOX/log" >&2; exit 1; }
	first=$(hierarchies | head -1)
	for pid in $(cat "$first/$name/cgroup.procs"); do # its first process, as the host sees it
		[ "$(awk '/^NSpid:/ { print $NF, NF }' "/proc/$pid/status")" = "1 3" ] && echo "$pid" > "$BOX/pid"
	done
	cat "$BOX/pid"
	;;
enter)
	for h in $(hierarchies); do echo $$ > "$h/$name/cgroup.procs"; done
	exec unshare --cgroup --net --mount --pid --fork --propagation private --mount-proc "$0" inside
	;;
inside)
	awk '$3 == "cgroup" || $3 == "cgroup2" { print $2, $3, $4 }' /proc/mounts | while read -r point kind options; do
		umount "$point" # and again, as the namespace of cgroups shows it
		controllers=$(tr , '\n' <<< "$options" | grep -vxE 'rw|ro|nosuid|nodev|noexec|relatime|nsdelegate|memory_.*' | paste -sd, || true)
		mount -t "$kind" ${controllers:+-o "$controllers"} "$kind" "$point"
	done
	mkdir -p /var/log/pods /var/log/containers
	mount --bind "$BOX/pods" /var/log/pods
	mount --bind "$BOX/containers" /var/log/containers
	ip link set lo up
	touch "$BOX/ready"
	exec catatonit -- sleep infinity
	;;
run)
	shift
	for h in $(hierarchies); do echo $$ > "$h/$name/cgroup.procs"; done
	exec nsenter --target "$(cat "$BOX/pid")" --cgroup --net --mount --pid -- "$@"
	;;
down)
	if [ -e "$BOX/pid" ]; then # the first of its pid namespace: with it all others end
		pid=$(cat "$BOX/pid")
		[ "$(cat "/proc/$pid/comm" 2> /dev/null)" = catatonit ] && kill -9 "$pid"
		rm -f "$BOX/pid"
	fi
	for ((i = 0; i < 50; i++)); do
		left=
		for h in $(hierarchies); do
			[ -d "$h/$name" ] || continue
			find "$h/$name" -depth -type d -exec rmdir {} + 2> /dev/null || left=$h
		done
		[ "$left" ] || exit 0
		sleep 0.1
	done
	;;
esac
