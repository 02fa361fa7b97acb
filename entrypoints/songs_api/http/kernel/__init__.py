"""The parts that every request passes through."""
