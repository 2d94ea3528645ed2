"""Plugins run here: one child process per execution, bounded in time, memory and output.

That keeps a plugin's crash, hang or leak away from the server. It is no security boundary: the child runs as the
server's own user, so only plugins one would trust with that may be installed.
"""
