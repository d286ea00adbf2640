"""The socket: listening, framing, peers, dispatch, methods and subscriptions."""
