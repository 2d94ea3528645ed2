"""What a crash may do to the event log: two nodes under load, a journal of what they promised, ways to disturb them.

The journal is the client's: what was acknowledged, refused, or never answered. Afterwards the log is read back and
judged by it.
"""
