"""A BlobMap in a plain dictionary."""

PART_BYTES = 100


class KilledError(Exception):
    pass


class Blobs(dict):
    """Strings by number. `changes_left` changes succeed, then the process counts as killed; None means any number.

    `full`: no further string fits.
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
