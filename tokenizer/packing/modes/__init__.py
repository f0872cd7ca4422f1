"""The packing modes, one module each, called as `manifests.packing` calls them: `PACKER` packs by it."""
