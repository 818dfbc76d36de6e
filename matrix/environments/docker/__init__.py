"""The Docker engine: an image for each environment, a sandboxed container for each worker."""
