"""Lists of applications, experiments and runs: what stands over them, their columns, and what can be done with rows."""
