"""The FlexCore client: the one way this project speaks to a FlexCore server."""
