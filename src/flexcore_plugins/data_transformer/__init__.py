"""data-transformer: filters, computes, renames, casts, aggregates, sorts and deduplicates records."""
