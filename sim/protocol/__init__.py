"""What a simulator is asked to do, and what it answers."""
