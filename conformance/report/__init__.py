"""What is made out of results, for people."""
