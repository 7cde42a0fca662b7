"""Numbers -> charts."""
