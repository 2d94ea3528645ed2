"""Plugins as files: what is in a package, how it gets onto a node, and how an author makes one."""
