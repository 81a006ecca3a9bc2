"""What a run stands on: workspaces, datastores, the store of results, snapshots and compute targets."""
