"""Search for changes that make a failing cell match, by running plans until no further one is worth it."""
