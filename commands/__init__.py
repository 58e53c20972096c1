"""The room where data and models meet: what the commands that need both do."""
