"""What a script hands to the host to be run as a run of its own, and that run as the script sees it."""
