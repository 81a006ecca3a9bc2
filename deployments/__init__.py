"""How published pipelines are called: the command line, the HTTP endpoint and its clients, and schedules."""
