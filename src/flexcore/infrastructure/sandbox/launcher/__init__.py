"""What runs between the supervisor and a plugin: confines it, starts its executions, watches them.

Standard library only, and little of it: this runs under the plugin's interpreter (`python -I -S`), one process for each
plugin version. The parts:

- `linux`, `namespaces`, `root`, `landlock`, `seccomp` with `policy` and `syscalls`: the kernel's means, one each;
- `fork_server`: becomes the confined process that imports the plugin and forks its executions;
- `launcher`: the process that is trusted; it stays outside, and is parent, judge and reaper of every `execution`;
  what it judges by it hears from `notifications` and reads from `processes`.
"""
