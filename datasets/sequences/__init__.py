"""Text and other sequences: tokens and their vocabularies, windows of a text, words, sequences of unequal lengths, and
tasks of memory that are drawn by a seed.

Files are read in `datasets/files`; arrays and splits are those of `datasets`.
"""

from .csv_sequences import CsvSequences as CsvSequences
from .memory_tasks import AddingProblem as AddingProblem
from .memory_tasks import CopyMemory as CopyMemory
from .names_dataset import NamesDataset as NamesDataset
from .npz_sequences import NpzSequences as NpzSequences
from .text_dataset import TextDataset as TextDataset
from .ts_sequences import TsSequences as TsSequences
from .vocabulary import CharacterVocabulary as CharacterVocabulary
from .vocabulary import Vocabulary as Vocabulary
from .vocabulary_files import load_vocabulary as load_vocabulary

__all__ = [
    "AddingProblem",
    "CharacterVocabulary",
    "CopyMemory",
    "CsvSequences",
    "NamesDataset",
    "NpzSequences",
    "TextDataset",
    "TsSequences",
    "Vocabulary",
    "load_vocabulary",
]
