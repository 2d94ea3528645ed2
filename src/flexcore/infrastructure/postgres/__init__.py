"""FlexCore's event log on PostgreSQL: connections, store, queries, probes and schema."""
