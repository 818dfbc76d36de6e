"""Make base images from Debian packages and a local Python, for machines that reach no registry."""
