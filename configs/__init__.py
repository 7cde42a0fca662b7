"""Runs: `base` holds every field, each other file what differs from it."""
