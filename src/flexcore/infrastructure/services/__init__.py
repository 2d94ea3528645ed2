"""The services around FlexCore."""
