"""What pages about one thing are made of."""
