"""Tables of fixations that programs export as text -> columns and scanpaths."""
