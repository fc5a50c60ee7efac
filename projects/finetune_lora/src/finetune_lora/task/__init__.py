"""The shipped task: a help-desk request becomes one tool call.

`tools` is what may be answered and by which rules; `generate` makes requests with their answers
from `phrases/`; the two `.jsonl` files were written by hand. `grammar` and `noise` know no help
desk and serve any other task; nothing outside this package knows of it.
"""
