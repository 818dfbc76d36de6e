"""The Docker engine: one image for every environment, every job in a cage."""
