"""Files of the field -> tables and arrays: text, .mat, HDF5, pictures, and where they lie."""
