"""What `import curate` offers: the pipeline's own functions, over Arrow data in memory."""
