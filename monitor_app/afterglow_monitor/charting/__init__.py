"""Pictures of runs and of applications, and what they are drawn from."""
