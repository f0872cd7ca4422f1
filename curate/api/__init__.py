"""What `import curate` offers: the pipeline's own functions, over Arrow data in memory."""

from curate.caches import keep_kernels

keep_kernels()  # those that the command line compiled serve here too, and the other way round
