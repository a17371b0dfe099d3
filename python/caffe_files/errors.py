"""The one exception for input that is at fault."""


class InputError(Exception):
    """Input is at fault: the message names the file, the line or record, what is wrong and what to do, in one line."""
