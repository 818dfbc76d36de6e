"""Views as data and files: JSON, JUnit XML and Markdown."""
