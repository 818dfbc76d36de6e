"""A toolchain as an image to run by hand: `inside/` is the program in it, the rest makes the image."""
