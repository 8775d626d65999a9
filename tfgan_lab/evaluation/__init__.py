"""What `tfgan-lab evaluate` measures: one module for each kind of data, all giving rows of a table."""
