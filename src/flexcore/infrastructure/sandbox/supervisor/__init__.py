"""The sandbox supervisor: starts plugins' executions for the server, confined, and tells how each ended.

It is the only process that may make namespaces; it holds no credentials, and is not in the way of what an execution and
the server tell each other.
"""
