"""Draws the embedded data: people, scenes and labels, with NumPy and OpenCV alone."""
