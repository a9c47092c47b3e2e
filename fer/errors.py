"""The errors of this package: one small tree, each message a sentence that names the culprit."""


class FerError(Exception):
    """Anything a user can put right; the command line prints it and exits with 2."""


class SettingError(FerError):
    """An environment variable holds something that it cannot mean."""


class ImageError(FerError):
    """A picture that cannot be read, or is larger than the limits."""


class VideoError(FerError):
    """A video that cannot be read."""


class DataError(FerError):
    """A data set that is missing, or not in a layout that the loaders know."""


class ModelError(FerError):
    """A model that is missing, or does not match its card."""


class StoreError(FerError):
    """The database cannot be reached; what was to be written waits in memory."""


class ClassError(FerError):
    """A class code or an instructor key that does not open a class."""


class ThrottleError(FerError):
    """Too many wrong codes or keys were tried; later tries are heard again."""


class JournalError(FerError):
    """A name and passphrase that do not open a journal, or an entry or archive that cannot be taken in."""
