"""Azure's whole names of resources, `/subscriptions/…/resourceGroups/<group>/providers/…/<kind>/<name>`, taken apart."""

from __future__ import annotations


def group_and_name(kind: str, group: str | None, name: str | None, resource_id: str | None) -> tuple[str, str] | None:
    """Return the resource group and the name of what is given by both, or by its whole name.

    Args:
        kind: What stands before the name in a whole name, such as `batchAccounts`.
        group: The resource group.
        name: The name.
        resource_id: The whole name.

    Returns:
        The two; None if one is missing, the whole name is none of that kind, or it contradicts what stands beside it.
    """
    if not resource_id:
        return (group, name) if group and name else None
    parts = resource_id.strip().partition("?")[0].strip("/").split("/")
    words = [part.lower() for part in parts]
    if "resourcegroups" not in words:
        return None
    start = words.index("resourcegroups")
    named = dict(zip(words[start::2], parts[start + 1 :: 2], strict=False))
    found = (named.get("resourcegroups", ""), named.get(kind.lower(), ""))
    same = all(not given or given.lower() == held.lower() for given, held in zip((group, name), found, strict=True))
    return found if all(found) and same else None
