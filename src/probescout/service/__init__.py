"""The planner's face on the network: convert, call, map errors."""
