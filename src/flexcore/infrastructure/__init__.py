"""Where FlexCore meets PostgreSQL, Redis, child processes and the network: implementations of the ports."""
