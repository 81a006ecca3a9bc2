"""What a command line means by the names that it gives: workspaces, runs, pipelines in files."""
