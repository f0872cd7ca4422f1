"""Six plug-ins, a module each."""
