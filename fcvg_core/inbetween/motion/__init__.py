"""Motions of parts of a picture: rigid ones, their candidates, and posed figures that bend."""
