"""Other planners on our cases, each in an environment of its own."""
