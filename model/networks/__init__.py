"""Networks, as functions of a configuration; all answer with a density over places."""
