"""What FlexCore is about: plugins, events and their rules. Standard library only."""
