"""Several processes that work as one: each takes a share of every batch, and together they compute what one
process would compute with the whole.

`torchrun` starts the processes and tells each its number; `connect` brings them together. Gradients and
losses are summed, BatchNorm takes its moments over all processes, and losses are divided by totals over all
of them (`Batch.total`). So nothing but rounding depends on their number.
"""
