"""How the outside reaches FlexCore: each package speaks one protocol and calls the application."""
