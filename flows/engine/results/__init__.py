"""What came of steps: outputs that are taken from what a job left, or joined of others; the outcome of a run's steps."""
