"""From files to examples: reading, validating, cleaning, splitting, and the data card.

rows.py      a file's rows with their line numbers, whatever the file format
convert.py   one row → one Example, whatever the columns
hub.py       the rows of a dataset of the Hugging Face hub
read.py      load_dataset: all of a file, validated; rows: the way back
normal.py    when two texts count as the same, or as nearly the same
clean.py     what is dropped: duplicates, near duplicates, conflicts, leaks
split.py     train, dev and test, by a seed
parts.py     the cleaned splits, and what was taken out for which reason
tokens.py    how long the examples are for a model
card.py      what a reader should know of the data
prepare.py   all of it, in order
"""
