"""simple-processor: small operations on text and numbers."""
