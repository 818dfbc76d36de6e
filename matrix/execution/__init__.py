"""Run plans: from the jobs of cells to stored observations."""
