"""The event schedule: one path for the columns of W and of U whose x or h changed."""
