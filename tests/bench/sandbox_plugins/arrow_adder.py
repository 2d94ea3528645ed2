"""The same plugin with an import that takes its time."""

import pyarrow
import pyarrow.csv
import pyarrow.parquet
from adder import Adder

__all__ = ["Adder", "pyarrow"]
