"""Recipes, the stage graph and the engines that run it."""
