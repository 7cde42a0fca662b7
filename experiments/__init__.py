"""Questions that were asked of the program, each one as a command that answers it."""
