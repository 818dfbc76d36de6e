"""From stored observations to verdicts: pure functions, no clock, no disk but the signature file."""
