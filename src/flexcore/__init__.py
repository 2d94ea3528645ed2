"""FlexCore: a runtime container service. Plugins in isolated processes, an event store, pipelines."""
