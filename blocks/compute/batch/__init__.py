"""What v1's users name as an account of Azure Batch: this machine, in its place."""
