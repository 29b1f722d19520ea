"""ToonCrafter and DynamiCrafter in the host."""
