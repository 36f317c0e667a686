"""What MLflow's tracking servers know, on its way into the store; and what is asked of them when somebody looks."""
