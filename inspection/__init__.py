"""What a corpus is like, in numbers and pictures, before the first epoch."""
