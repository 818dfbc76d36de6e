"""What continuous integration asks for: the fan-out of a plan, a summary of a night, an issue for each regression."""
