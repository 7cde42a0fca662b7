"""A TFDS data set of people: the builder, and the files that TFDS expects beside it."""
