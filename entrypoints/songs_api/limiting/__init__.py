"""Rate limits that hold while the limiter fails: what processes remember of it."""
