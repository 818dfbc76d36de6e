"""What every output says in the same words: verdicts, reasons, names of rows and of comparisons."""
