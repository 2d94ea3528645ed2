"""postgres-processor: queries, statements and COPY on the PostgreSQL databases that the operator names."""
