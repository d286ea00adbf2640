"""Layer 2: from what a user wrote to a frozen contract.

    source ──read_draft──▶ draft ──graph, tasks, templates, secrets, repository──▶ problems | contract ──freeze──▶ hash

`source` reads files, `values` single values, `draft` knows the keys; the rest looks at what several values mean together.
`freeze.plan` is the way in.
"""
