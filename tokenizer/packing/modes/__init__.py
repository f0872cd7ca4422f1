"""The ways of packing, one module each, called as `manifests.packing` calls them: `PACKER` packs by it."""
