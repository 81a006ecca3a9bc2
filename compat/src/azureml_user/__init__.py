"""What entry scripts of parallel runs import beside `azureml`."""
