"""Corpora: what they are, where they lie, and the samples that they give."""
