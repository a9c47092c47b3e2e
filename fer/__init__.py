"""ClassMood: reads facial expressions and shows the mood of a class, never of a person.

Importing this package loads nothing heavy; each module loads its own libraries on use.
"""

__version__ = "0.1.0"
