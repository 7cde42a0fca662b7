"""What things cost, each against a stated reference in the same run."""
