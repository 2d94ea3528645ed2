"""flext-service: speaks to the FLEXT service."""
