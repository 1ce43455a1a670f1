"""The model: features, members, and the committee that weighs them."""
