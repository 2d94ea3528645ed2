"""The read models: what a row holds, how events change it, and how it is asked for."""
