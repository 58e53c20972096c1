"""What each command of main.py does: where data and models meet."""
