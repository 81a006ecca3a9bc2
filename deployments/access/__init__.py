"""Who may call the endpoint, how often, and what is published at this moment."""
