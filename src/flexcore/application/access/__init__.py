"""Who may call: users and their tokens, how a call proves who makes it, and logging in."""
