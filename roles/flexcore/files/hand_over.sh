#!/bin/sh
# Prepares a unit's start, as root: hand_over.sh UNIT USER DIRECTORY GROUP
# What listens in DIRECTORY belongs to USER and can be reached by GROUP, too. Under cgroup v1 the unit's own groups of
# the controllers below become USER's, who may then make groups in them; of v2 groups systemd does that itself.
set -eu
unit=$1 user=$2 directory=$3 group=$4

chown "$user:$group" "$directory"
chmod 2750 "$directory"

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
