"""Rate limits that hold while the limiter fails, because processes remember its windows."""
