"""Redis, as FlexCore uses it."""
