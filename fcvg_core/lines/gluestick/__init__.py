"""GlueStick: SuperPoint, wireframe and graph network match the lines of two pictures."""
