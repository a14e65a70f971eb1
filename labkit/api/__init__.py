"""The language that every component speaks. No I/O: everything here is a function from values to values.

    types            the objects of API v1                kinds        the table: resource, short names, place in etcd
    codec            JSON <-> objects                     errors       what can go wrong, as exceptions and as Status
    defaults         what a client may leave out          validation   what is not acceptable, fault by fault
    strategies       both, and what may change, per kind  faults       their sentences; names: how things may be called
    labels, fields   selectors                            quantity     "250m", "64Mi"; amounts: where there are any
    patch            JSON, merge and strategic patches    merge_keys   how the last of them joins lists
    printing, cells  tables for kubectl get               discovery    what kubectl asks first
    protobuf         bodies of kubectl 1.32 and later     durations    "3m10s"
    openapi          the schema: kubectl explain          computed     the other table: what is answered, not stored

A new kind is a Struct in types, its words in openapi/words.txt, a row in kinds, and what is special about it in
defaults, validation, strategies, amounts, fields, printing and merge_keys.
"""
