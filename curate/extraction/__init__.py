"""The learned extractor: a compiled scanner cuts HTML into blocks, boosted trees choose among them."""
