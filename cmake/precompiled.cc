// Nothing: the target that this file gives a name to exists for its precompiled headers.
