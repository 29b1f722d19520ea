"""How good a result is where the truth is known."""
