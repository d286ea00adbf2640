"""The methods of the protocol: one file per verb, each with its params, its result, its errors and its handler."""
