"""What became of each clause, and what a failure teaches."""
