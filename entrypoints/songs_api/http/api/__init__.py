"""What the API offers: one module for each part of it."""
