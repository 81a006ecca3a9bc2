"""The files of datasets: where they are now, by content and together in a folder, and tables written as files."""
