"""Numbers drawn: what a table says, to be seen at a glance, as PNG files."""
