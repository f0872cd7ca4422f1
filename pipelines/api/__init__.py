"""What `import pipelines` offers: running recipes, and runs as objects."""
