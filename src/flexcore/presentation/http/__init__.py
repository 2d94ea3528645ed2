"""The HTTP API: one table of operations drives routing, validation and the OpenAPI document."""
