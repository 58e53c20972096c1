"""Models, losses, metrics and the loop that trains them."""
