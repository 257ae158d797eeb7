"""What a user can put right, as an exception of the lowest floor: nothing else is imported for it."""


class UserError(Exception):
    """Something the user can put right; the message names the value and the limit. A command shows it in one line."""
