"""Outputs for continuous integration: a summary of a night, and an issue for each regression."""
