"""What an entry script of a parallel run may ask for."""

from azureml.modules import find

EntryScript = find("EntryScript")
