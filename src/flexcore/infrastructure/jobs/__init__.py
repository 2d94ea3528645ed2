"""The job queue in PostgreSQL: procrastinate, on FlexCore's own connections."""
