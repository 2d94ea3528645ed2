"""The supervisor as a program of its own, which loads nothing of the server."""

from flexcore.infrastructure.sandbox.supervisor.command import sandbox

sandbox(prog_name="flexcore sandbox")
