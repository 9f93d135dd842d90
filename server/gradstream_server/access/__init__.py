"""Who may call, and what is whose. Free of transport."""
