"""What pipelines are made of and kept by name: modules and drafts."""
