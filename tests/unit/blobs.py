"""A BlobMap as a plain dictionary."""

PART_BYTES = 100


class KilledError(Exception):
    pass


class Blobs(dict):
    """Strings by number. `changes_left`: so many can be made until whoever makes them is killed; None: any number.

    `full`: there is no room for more.
    """

    def __init__(self):
        self.changes_left, self.full = None, False

    def _change(self):
        if self.changes_left == 0:
            raise KilledError
        if self.changes_left:
            self.changes_left -= 1

    def put(self, number, data):
        self._change()
        assert number not in self
        if self.full:
            raise OSError(7, "Argument list too long")
        self[number] = data
        return -(-len(data) // PART_BYTES)

    def remove(self, number):
        self._change()
        self.pop(number, None)

    def numbers(self):
        return sorted(self)

    recover = numbers

    def read(self):
        return dict(sorted(self.items()))

    def close(self):
        pass
