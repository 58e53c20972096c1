"""Archives: fetched whole or not at all, unpacked into the folders of a corpus."""


class DownloadError(Exception):
    """A download or an archive that cannot be used; its text is one line for the user."""
