"""Where plugins come from when nobody uploads them: an index of packages, and the signatures of those who made them."""
