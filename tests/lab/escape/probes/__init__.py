"""What the escape suite tries: plain functions of the standard library, run as a plugin and, for proof, unconfined.

A probe returns evidence, a text, if it got what it must not get. It returns None or raises OSError (which includes
every refusal of the kernel), MemoryError or RecursionError if it did not. Any other exception is a fault of the probe.
"""
