"""Samples -> batches: the keys, what is kept of them on disk, and the tf.data pipelines."""
