"""What arrives of Spark applications: journals that are sent or tailed, and event logs, on their way into the store."""
