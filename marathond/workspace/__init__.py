"""Where attempts work, and the way of their work to a checked commit: worktree, candidate, integration, checkpoint.

- `git`, `objects`, `changes`: running git, reading its objects raw, its list of differences.
- `repository`, `refs`, `locks`: the user's repository, the names of our refs in it, and who may change it now.
- `isolation`: what the engine sees of a workspace; `worktree`, `checkout`: the two kinds there are.
- `tree`, `nested`, `include`, `rescue`: the files of a workspace, repositories among them, files brought along, and
  keeping a state before it is overwritten.
- `candidate`, `integrate`, `checkpoint`, `proof`: the commit of an attempt, its replay onto the tip, moving the tip, and
  whether a checkpoint is still what was recorded.
- `message`, `diff`: text for people.
"""
