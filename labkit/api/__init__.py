"""The language that every component speaks: types, kinds, defaults, validation, selectors, patches, errors. No I/O."""
