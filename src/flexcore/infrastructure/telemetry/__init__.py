"""What the server tells about itself: structured logs and metrics."""
