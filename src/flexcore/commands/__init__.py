"""The commands of `flexcore`, each in a module that imports what it needs and no more."""
