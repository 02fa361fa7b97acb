"""Access tokens as JSON Web Tokens, and passwords by bcrypt."""
