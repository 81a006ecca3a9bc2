"""What `mkdocs build` does besides: it draws the rooms and writes the pages that are made from the code."""

from __future__ import annotations

from azureml_names import azureml_page
from cli_reference import cli_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from rooms import write_picture


def on_pre_build(config: MkDocsConfig) -> None:
    """Draw docs/rooms.svg anew."""
    write_picture()


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are in no file of docs/."""
    files.append(File.generated(config, "reference/cli.md", content=cli_page()))
    files.append(File.generated(config, "reference/azureml.md", content=azureml_page()))
    return files
