"""Sheets to look through: labels and target maps drawn over their picture."""
