"""ToonCrafter (SIGGRAPH Asia 2024): generative inbetweening of drawings."""
