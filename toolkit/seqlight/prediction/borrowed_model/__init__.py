"""Borrow a user's model, and give it back exactly as it was."""
