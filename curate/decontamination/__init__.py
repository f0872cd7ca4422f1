"""Decontamination by GPT-3's rule (Brown et al. 2020, appendix C): n-grams of evaluation sets are cut out of training
documents, each with a window around it.

The steps: index (once) -> hits (a part) -> frequent (once) -> decisions (a part). Text is read by `hits` alone.
"""
