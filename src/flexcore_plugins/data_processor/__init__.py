"""data-processor: CSV, JSON, NDJSON and Parquet, one into the other, and what is in them."""
