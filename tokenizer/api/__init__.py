"""What `import tokenizer` offers beside encoding: training and packing, over Arrow data in memory."""
