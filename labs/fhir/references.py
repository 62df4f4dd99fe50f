"""Find what a reference means inside one body. Source: FHIR R4, Bundle: resolving references."""

from labs.fhir.elements import Node
from labs.fhir.json_text import FhirError


class Resources:
    """The resources of one body, found by full address, by type and id, or as contained ones."""

    def __init__(self, entries: list[tuple[str, Node]]) -> None:
        """`entries`: full address ("" = none) and resource.
        Raises: FhirError `bundle-duplicate-id`."""
        self._by_address: dict[str, Node] = {}
        self._by_ending: dict[str, list[Node]] = {}
        for address, resource in entries:
            name = f"{resource.type}/{resource.text('id')}" if resource.has("id") else ""
            for key in {address, name} - {""}:
                if self._by_address.setdefault(key, resource) is not resource:
                    raise resource.invalid("bundle-duplicate-id")
            if address:
                ending = "/".join(address.split("/")[-2:])
                self._by_ending.setdefault(ending, []).append(resource)

    def find(self, reference: Node | None) -> Node | None:
        """Return the resource a Reference means, None when it is not here."""
        if reference is None:
            return None
        target = reference.text("reference")
        if target.startswith("#"):
            return _contained(reference.container, target[1:])
        target = target.partition("/_history/")[0]
        found = self._by_address.get(target)
        ending = self._by_ending.get(target, [])
        return ending[0] if found is None and len(ending) == 1 else found


def _contained(container: Node | None, name: str) -> Node | None:
    if container is None or not name:
        return None
    found = [one for one in contained(container) if one.text("id") == name]
    return found[0] if found else None


def contained(resource: Node) -> list[Node]:
    """Return the contained resources. Raises: FhirError `bundle-duplicate-id`."""
    made = [Node(child.data, child.path, resource) for child in resource.children("contained")]
    names = [node.text("id") for node in made if node.has("id")]
    if len(set(names)) != len(names):
        raise FhirError("bundle-duplicate-id", resource.path)
    return made


def as_resource(data: Node) -> Node:
    """Return a resource whose own elements refer to what it contains."""
    bare = Node(data.data, data.path)
    return Node(data.data, data.path, bare)
