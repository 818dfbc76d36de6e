"""From a plan to stored observations."""
