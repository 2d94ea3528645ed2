"""Writes the reference pages from what they describe: argument specs, module documentation, the API and the settings.

`python -m docs.generate` writes them; `python -m docs.generate --check` writes nothing and fails when one is stale.
"""
