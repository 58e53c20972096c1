"""What answers are worth: losses and metrics."""
