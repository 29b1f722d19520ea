"""What all three methods share: the user-facing error, checks of pictures, identification of weight files."""
