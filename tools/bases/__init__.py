"""Base images: `python:X.Y-slim` pinned by digest, or made on this machine where no registry can be reached."""
