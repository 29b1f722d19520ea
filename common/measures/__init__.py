"""Measures of clips: how near one is to another, how steady it is, how sharp, how well paced, how true to its keys."""
