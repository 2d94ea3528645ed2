"""The `flext` command."""
