"""What evidence does to the model: a prior whose influence is earned, and nothing at all where there is none."""
