#!/bin/sh
# Hands a unit's own control groups over to its user, who may then make groups in them: hand_over.sh UNIT USER
# Runs as root when the unit starts. Of version 2 groups systemd does that itself (Delegate=), of version 1 it does not.
set -eu
unit=$1 user=$2

for controller in memory pids cpu; do
    path=$(awk -F : -v name="$controller" \
        '{ count = split($2, names, ","); while (count) if (names[count--] == name) print $3 }' /proc/self/cgroup)
    # Its own, never a group above it, in which other units live as well.
    case $path in
        */"$unit") ;;
        *) continue ;;
    esac
    place=/sys/fs/cgroup/$controller$path
    chown "$user" "$place" "$place/cgroup.procs" "$place/tasks"
done
