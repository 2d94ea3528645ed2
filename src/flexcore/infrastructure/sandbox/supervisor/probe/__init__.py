"""The plugin by which the supervisor tries its host; in a directory of its own, for plugins see no other."""
