"""What FlexCore does: its use cases, and the ports through which they reach the world."""
