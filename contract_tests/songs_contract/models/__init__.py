"""What a storage means, to compare with: a reference, and linearizability."""
