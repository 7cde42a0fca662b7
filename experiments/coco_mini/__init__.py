"""A model that finds real people, from few photographs; README.md says how."""
