"""A toolchain as an image that a user runs by hand: `inside/` is the program in it, the rest makes the image."""
