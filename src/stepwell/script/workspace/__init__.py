"""What a script reaches of its workspace: data, models, other runs; public names as a step has them."""
