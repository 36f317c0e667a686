"""What several tests stand on: real servers, a real browser, real Spark."""
