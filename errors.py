"""What ends a command with one line instead of a traceback, and how such lines are worded."""

import difflib


class UsageError(Exception):
    """Wrong usage or data; its text is one line for the user: what, found, allowed."""


class Ended(Exception):
    """A run that ended early through no fault of its command, which goes on with it; its text is
    one line for the user."""

    code = 1  # what the process exits with


def near(word: str, allowed) -> str:
    """` (did you mean ...?)` where allowed words come close, else nothing."""
    close = difflib.get_close_matches(str(word).lower(), list(allowed), n=3)
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def printable(text) -> str:
    """In one line, with a ? for what cannot be seen: what files hold may be any bytes."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(str(text).split()))
