"""Block documents in numbers: listing them ends, and finds each once."""

from __future__ import annotations

from stepwell.blocks.server import documents
from stepwell.blocks.workspace.datastore_files import DatastoreBlock


def test_more_documents_than_prefect_has_on_a_page_are_all_found(workspace):
    names = {f"d{i}" for i in range(101)}
    for name in names:
        block = DatastoreBlock(workspace=workspace.name, name=name)
        documents.save(block, documents.document_name(workspace.name, name))
    found = [block.name for block in documents.load_all(DatastoreBlock, workspace=workspace.name)]
    assert len(found) == 103 and names < set(found)
