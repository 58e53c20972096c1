"""What a run leaves, and what it starts from."""
