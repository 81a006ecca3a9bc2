"""`InputPortDef` and `OutputPortDef`: the named places for data of a module, before any data are bound to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from stepwell.blocks.arguments.checked import checked
from stepwell.blocks.workspace.references import check_mode, check_port_name
from stepwell.errors import UserErrorException


@checked
class InputPortDef:
    """A named place for data that a module reads.

    Args:
        name: Its name, of letters, digits and underscores; scripts find the path in `AZUREML_DATAREFERENCE_<name>`.
        data_types: Accepted for v1's sake; shown, not checked.
        default_datastore_mode: `mount` or `download`, for what another step writes and is bound as it is.
        default_path_on_compute: The path in the step's working directory of what is downloaded.
        is_optional: Whether a step may leave it unbound.
        default_overwrite: Accepted for v1's sake; not used.
        default_data_reference_name: Accepted for v1's sake; not used.
        is_resource: Accepted for v1's sake; not used.
        label: What the data are, for people.

    Attributes:
        name: As the argument.
        is_optional: As the argument.
        label: As the argument.

    Raises:
        UserErrorException: The name or the mode can't be used.
    """

    def __init__(
        self,
        name: str,
        data_types: Sequence[str] | None = None,
        default_datastore_mode: str | None = None,
        default_path_on_compute: str | None = None,
        is_optional: bool = False,
        default_overwrite: bool | None = None,
        default_data_reference_name: str | None = None,
        is_resource: bool = False,
        label: str | None = None,
    ) -> None:
        check_mode(default_datastore_mode or "mount", ("mount", "download"))
        self.name = check_port_name(name)
        self.data_types = list(data_types or ())
        self.default_datastore_mode = default_datastore_mode
        self.default_path_on_compute = default_path_on_compute
        self.is_optional = is_optional
        self.label = label

    def serialize(self) -> dict[str, Any]:
        """Return what is known of it, ready for JSON.

        Returns:
            Names and values.
        """
        return dict(vars(self))

    def __repr__(self) -> str:
        return f"InputPortDef({self.name!r})"


@checked
class OutputPortDef:
    """A named place for data that a module writes.

    Args:
        name: Its name, of letters, digits and underscores; scripts find the path in `AZUREML_DATAREFERENCE_<name>`.
        default_datastore_name: The datastore of what no step binds; None: the workspace's default datastore.
        default_datastore_mode: `mount` or `upload`, of what no step binds.
        default_path_on_compute: The path in the step's working directory where the script writes what no step binds.
        is_directory: Accepted for v1's sake; not used.
        data_type: Accepted for v1's sake; shown, not checked.
        default_overwrite: Accepted for v1's sake; not used.
        training_output: Accepted for v1's sake; not used.
        label: What the data are, for people.

    Attributes:
        name: As the argument.
        label: As the argument.

    Raises:
        UserErrorException: The name or the mode can't be used.
    """

    def __init__(
        self,
        name: str,
        default_datastore_name: str | None = None,
        default_datastore_mode: str | None = None,
        default_path_on_compute: str | None = None,
        is_directory: bool = False,
        data_type: str | None = None,
        default_overwrite: bool | None = None,
        training_output: Any = None,
        label: str | None = None,
    ) -> None:
        check_mode(default_datastore_mode or "mount", ("mount", "upload"))
        self.name = check_port_name(name)
        self.default_datastore_name = default_datastore_name
        self.default_datastore_mode = default_datastore_mode
        self.default_path_on_compute = default_path_on_compute
        self.data_type = data_type
        self.label = label

    def serialize(self) -> dict[str, Any]:
        """Return what is known of it, ready for JSON.

        Returns:
            Names and values.
        """
        return dict(vars(self))

    def __repr__(self) -> str:
        return f"OutputPortDef({self.name!r})"


Port = InputPortDef | OutputPortDef


def plain_ports(inputs: Iterable[InputPortDef], outputs: Iterable[OutputPortDef]) -> tuple[list[Any], list[Any]]:
    """Return the ports as JSON values; raise UserErrorException if two of a module have one name."""
    found: tuple[list[Any], list[Any]] = ([], [])
    taken = set[str]()
    ports: list[tuple[Port, list[Any]]] = [(port, found[0]) for port in inputs]
    ports += [(port, found[1]) for port in outputs]
    for port, kept in ports:
        if port.name in taken:
            raise UserErrorException(f"The module has two ports called {port.name!r}", hint="Name each differently.")
        taken.add(port.name)
        kept.append(port.serialize())
    return found


def plain_argument(argument: Any) -> Any:
    """Return an argument of a module as JSON: a text or number, or `{"port": name}` for one of its ports."""
    if isinstance(argument, (InputPortDef, OutputPortDef)):
        return {"port": argument.name}
    return argument if isinstance(argument, (str, int, float)) else str(argument)
