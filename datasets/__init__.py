"""Data sets and minibatches: arrays, tables, folders of images, MNIST, Fashion-MNIST, CIFAR-10, sets of scikit-learn;
text, words and other sequences.

Importing this package reads no data and imports nothing but NumPy. File formats are read in `files`; random changes
of images are in `trainers/augments`.
"""

from .array_dataset import ArrayDataset as ArrayDataset
from .array_files import NpyDataset as NpyDataset
from .array_files import NpzDataset as NpzDataset
from .cifar10 import CIFAR10 as CIFAR10
from .csv_dataset import CsvDataset as CsvDataset
from .dataset import Dataset as Dataset
from .digit_pairs import DigitPairs as DigitPairs
from .digits import Digits as Digits
from .files.idx import read_idx as read_idx
from .image_folder import ImageFolder as ImageFolder
from .inverse_problem import InverseProblem as InverseProblem
from .k_folds import k_folds as k_folds
from .mnist import MNIST as MNIST
from .mnist import FashionMNIST as FashionMNIST
from .order import balanced_order as balanced_order
from .order import epoch_order as epoch_order
from .order import group_by_length as group_by_length
from .patterns import Characters as Characters
from .patterns import Triplets as Triplets
from .patterns import TwoCurves as TwoCurves
from .preprocessing import Preprocessing as Preprocessing
from .reconstruction import Reconstruction as Reconstruction
from .sequences import AddingProblem as AddingProblem
from .sequences import CharacterVocabulary as CharacterVocabulary
from .sequences import CopyMemory as CopyMemory
from .sequences import CsvSequences as CsvSequences
from .sequences import NamesDataset as NamesDataset
from .sequences import NpzSequences as NpzSequences
from .sequences import TextDataset as TextDataset
from .sequences import TsSequences as TsSequences
from .sequences import Vocabulary as Vocabulary
from .sequences import load_vocabulary as load_vocabulary
from .side_by_side import side_by_side as side_by_side
from .split import split_rows as split_rows
from .tabular import BreastCancer as BreastCancer
from .tabular import Diabetes as Diabetes
from .tabular import Iris as Iris
from .tabular import Wine as Wine

__all__ = [
    "CIFAR10",
    "MNIST",
    "AddingProblem",
    "ArrayDataset",
    "BreastCancer",
    "CharacterVocabulary",
    "Characters",
    "CopyMemory",
    "CsvDataset",
    "CsvSequences",
    "Dataset",
    "Diabetes",
    "DigitPairs",
    "Digits",
    "FashionMNIST",
    "ImageFolder",
    "InverseProblem",
    "Iris",
    "NamesDataset",
    "NpyDataset",
    "NpzDataset",
    "NpzSequences",
    "Preprocessing",
    "Reconstruction",
    "TextDataset",
    "Triplets",
    "TsSequences",
    "TwoCurves",
    "Vocabulary",
    "Wine",
    "balanced_order",
    "epoch_order",
    "group_by_length",
    "k_folds",
    "load_vocabulary",
    "read_idx",
    "side_by_side",
    "split_rows",
]
