"""Results by content: kept, checked, served, collected; and the folders of runs."""
