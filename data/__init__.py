"""Corpora: what they are, where they lie, and the tf.data pipelines made from them."""
