"""Results by content: kept, checked, looked up, collected; and the folders of runs."""
