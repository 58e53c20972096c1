"""Pictures, curves, tables and the HTML page, from numbers and files alone."""
