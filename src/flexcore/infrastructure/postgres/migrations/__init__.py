"""The database schema's history, run by Alembic. Each revision only adds: older nodes go on serving meanwhile."""
