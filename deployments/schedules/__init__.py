"""When published pipelines run by themselves."""
