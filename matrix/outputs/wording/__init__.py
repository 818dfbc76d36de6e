"""The words that all outputs share: verdicts, reasons, names of rows and of comparisons."""
