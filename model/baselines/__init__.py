"""What a model is measured against: centre bias and gold standard."""
