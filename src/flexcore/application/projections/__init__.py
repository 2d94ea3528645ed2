"""Projections: fold the event log into read models, each with the position it has reached."""
