"""What runs inside a script's own process: `Run`, its log, metrics and launcher; on the standard library alone."""
