"""What a refused attempt must not leave anywhere."""

from tests.support.objects import Objects
from tests.support.realm import Person
from tests.support.tables import Tables


class Leftovers:
    """What a person's attempts left since this was made."""

    def __init__(self, person: Person, database: Tables, objects: Objects) -> None:
        self._person, self._database, self._objects = person, database, objects
        self._orphans = self._unreferenced()

    def none(self) -> bool:
        """No row, so no event either (they are one transaction); no object without a row."""
        owner = self._person.account_id
        query = "SELECT 1 FROM documents.documents WHERE owner_id = %s"
        return not self._database.count(query, owner) and self._unreferenced() <= self._orphans

    def _unreferenced(self) -> set[str]:
        # The objects first: a deposit's row comes after its object.
        keys = self._objects.keys()
        rows = self._database.rows("SELECT content_id::text AS key FROM documents.documents")
        return keys - {row["key"] for row in rows}
