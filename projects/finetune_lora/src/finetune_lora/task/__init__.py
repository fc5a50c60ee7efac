"""The shipped task: a help-desk request becomes one tool call.

`tools` is what may be answered and by which rules, `generate` makes requests with their answers from
the phrases beside it, and the two `.jsonl` files were written by hand. Swap the task by swapping this
package: nothing outside it knows about help desks.
"""
