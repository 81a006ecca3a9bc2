"""What `stepwell serve` keeps running, and what it puts right."""
