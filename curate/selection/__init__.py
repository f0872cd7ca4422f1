"""What is kept: rules over signals and scores, and the clean corpus they leave."""
