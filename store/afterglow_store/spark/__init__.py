"""What runs on Spark itself."""
