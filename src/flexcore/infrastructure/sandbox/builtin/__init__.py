"""The plugins that come with FlexCore. Each module holds its manifest and the class that does its work.

They run in the child process, and so import nothing but the standard library and `sandbox.plugin`.
"""
