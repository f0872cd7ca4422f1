"""From a source's records to normalised documents: the stage `extract`."""
