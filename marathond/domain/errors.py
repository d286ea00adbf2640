"""The registry of errors: one row per thing that can go wrong where a user sees it.

The protocol's error objects, the client's messages and exit codes and the tables in the documentation all come from
here. Standard library only: the client imports it too.

A message says what was attempted and what is wrong; a hint says what to do next. Both are `str.format` templates whose
fields are the keyword arguments given to `MarathonError`.
"""

from typing import Any, NamedTuple


class ErrorKind(NamedTuple):
    """A registered kind of error.

    `code` is the JSON-RPC error code, `slug` the stable name, `exit` the exit code of `marathonctl` and `marathond`.
    """

    code: int
    slug: str
    message: str
    hint: str
    exit: int


class MarathonError(Exception):
    """An error with a registered kind and the details that fill its message.

    `data` holds further JSON values for the error object, such as `problems` of a contract or `gate` verdicts.
    """

    def __init__(self, kind: ErrorKind, *, data: dict[str, Any] | None = None, **fields: object) -> None:
        self.kind = kind
        self.message = kind.message.format(**fields).replace("?.", "?")  # a reason may end in a question
        self.hint = kind.hint.format(**fields)
        self.data = data or {}
        super().__init__(self.message)

    def to_json(self) -> dict[str, Any]:
        """The object printed under `error` by `--json`; the protocol's error `data` is built from it."""
        return {
            "code": self.kind.code,
            "slug": self.kind.slug,
            "message": self.message,
            "hint": self.hint,
            "exit": self.kind.exit,
            **self.data,
        }


REGISTRY: dict[str, ErrorKind] = {}


def _kind(code: int, slug: str, exit_: int, message: str, hint: str = "") -> ErrorKind:
    kind = ErrorKind(code, slug, message, hint, exit_)
    assert slug not in REGISTRY, slug
    assert code not in {k.code for k in REGISTRY.values()}, code
    REGISTRY[slug] = kind
    return kind


# --- JSON-RPC 2.0, section 5.1 ------------------------------------------------------------------------
PARSE_ERROR = _kind(
    -32700,
    "parse_error",
    70,
    "The message is not valid JSON: {reason}.",
    "Send one JSON-RPC 2.0 message per line, or one per Content-Length frame.",
)
INVALID_REQUEST = _kind(
    -32600,
    "invalid_request",
    70,
    "The message is not a JSON-RPC 2.0 request: {reason}.",
    "See docs/protocol.md.",
)
METHOD_NOT_FOUND = _kind(-32601, "method_not_found", 70, "There is no method {method!r}.", "{suggestion}")
INVALID_PARAMS = _kind(
    -32602,
    "invalid_params",
    64,
    "The parameters of {method} are wrong: {reason}.",
    "See docs/protocol.md or call rpc.discover.",
)
INTERNAL = _kind(
    -32603,
    "internal",
    70,
    "Marathon failed in a way it did not foresee (incident {incident}).",
    "The daemon's log has the details under that incident; nothing that was acknowledged is lost.",
)
REQUEST_CANCELLED = _kind(-32800, "request_cancelled", 130, "The request was cancelled by the client.")

# --- usage and state: 64 ------------------------------------------------------------------------------
USAGE = _kind(-32001, "usage", 64, "{reason}.", "{hint}")
SESSION_ENDED = _kind(
    -32002, "session_ended", 64, "Session {session} has ended ({state}), so it cannot be {verb}.", "{hint}"
)
REFUSED_BY_STATE = _kind(-32003, "refused_by_state", 64, "Session {session} is {state}: {reason}.", "{hint}")
TOO_MANY_REQUESTS = _kind(
    -32004,
    "too_many_requests",
    64,
    "This connection has {pending} requests without an answer; {limit} are allowed.",
    "Wait for answers before sending more.",
)
SOCKET_PATH_TOO_LONG = _kind(
    -32005,
    "socket_path_too_long",
    64,
    "The socket path {path!r} has {length} bytes; Linux allows {limit}.",
    "Set MARATHON_SOCKET to a shorter path, for example under $XDG_RUNTIME_DIR.",
)
FRAME_TOO_LARGE = _kind(
    -32006,
    "frame_too_large",
    64,
    "A message may have at most {limit} bytes.",
    "Send large contracts by path instead of inline.",
)
DIRTY_CHECKOUT = _kind(
    -32007,
    "dirty_checkout",
    64,
    'isolation = "none" works in your checkout, and {repo} has changes that are not committed: {files}.',
    'Commit or stash them, or use isolation = "worktree".',
)
KEY_MISMATCH = _kind(
    -32008,
    "key_mismatch",
    64,
    "The key {key!r} already started session {session} with another contract.",
    "Use a new key, or leave the contract as it was.",
)
TOO_MANY_FEEDS = _kind(
    -32009,
    "too_many_feeds",
    64,
    "This connection follows {limit} things already.",
    "Unsubscribe from some, or open another connection.",
)

# --- input: 65, 66 ------------------------------------------------------------------------------------
CONTRACT_INVALID = _kind(
    -32010,
    "contract_invalid",
    65,
    "The contract has {count} problem(s).",
    "Run `marathonctl check FILE` to see them all.",
)
NOT_A_LEDGER = _kind(
    -32011,
    "not_a_ledger",
    65,
    "{path} is not a Marathon ledger ({reason}); it was left alone.",
    "Move it away, or point MARATHON_STATE_DIR at another folder.",
)
SCHEMA_NEWER = _kind(
    -32012,
    "schema_newer",
    65,
    "{path} was written by a newer Marathon (schema {found}, this one knows {known}); it was left alone.",
    "Upgrade Marathon.",
)
CONFIG_INVALID = _kind(-32013, "config_invalid", 65, "{path}: {reason}.", "See docs/config.md.")
NETWORK_FILESYSTEM = _kind(
    -32014,
    "network_filesystem",
    65,
    "{path} is on a network file system ({fstype}), where SQLite's locks cannot be trusted.",
    "Set MARATHON_STATE_DIR to a folder on a local disk.",
)
ENTRY_REFUSED = _kind(
    -32015,
    "entry_refused",
    65,
    "The ledger cannot hold this {kind_of_entry} entry: {reason}.",
    "Nothing was recorded. Shorten or correct what was given.",
)
NO_REPOSITORY = _kind(
    -32016,
    "no_repository",
    65,
    "{path} cannot be worked on with git: {reason}.",
    "Name a folder inside the checkout of a git repository; `git init` makes one.",
)
NO_COMMIT = _kind(
    -32017,
    "no_commit",
    65,
    "{revision!r} names no commit of {repo}.",
    "Commit something first, or name a branch, tag or commit that exists.",
)
NO_SESSION = _kind(
    -32020, "no_session", 66, "There is no session {session}.", "`marathonctl list --all` shows all sessions."
)
AMBIGUOUS_SESSION = _kind(
    -32021,
    "ambiguous_session",
    66,
    "{prefix!r} fits more than one session: {matches}.",
    "Give more characters.",
)
NO_TASK = _kind(-32022, "no_task", 66, "Session {session} has no task {task!r}.", "{suggestion}")
NO_OUTPUT = _kind(
    -32023,
    "no_output",
    66,
    "Task {task!r} of session {session} has no attempt yet.",
    "`marathonctl why` says what it waits for.",
)
NO_ATTEMPT = _kind(
    -32026,
    "no_attempt",
    66,
    "Task {task!r} of session {session} has no attempt {attempt} yet.",
    "Its newest is {newest}.",
)
NO_SUCH_FILE = _kind(-32024, "no_such_file", 66, "There is no file {path}.", "{hint}")
AGENT_UNUSABLE = _kind(-32025, "agent_unusable", 66, "Agent {agent!r} cannot be used: {reason}.", "{hint}")

# --- daemon: 69, 70, 77, 1 ----------------------------------------------------------------------------
DAEMON_UNREACHABLE = _kind(
    -32030,
    "daemon_unreachable",
    69,
    "No Marathon daemon answers at {path}: {reason}.",
    "`marathonctl daemon start` starts one, and so does every verb that changes something.",
)
DAEMON_SILENT = _kind(
    -32031,
    "daemon_silent",
    69,
    "The daemon at {path} closed the connection or did not answer: {reason}.",
    "`marathonctl daemon info` tells whether it lives; its log is in the state folder.",
)
STOPPING = _kind(-32032, "stopping", 69, "The daemon is shutting down and takes no new work.", "Try again in a moment.")
STORAGE = _kind(
    -32033,
    "storage",
    70,
    "The ledger could not be written: {reason}. The request was not acknowledged.",
    "Free disk space or repair the disk; the daemon goes on by itself.",
)
OUTPUT_UNWRITABLE = _kind(
    -32038,
    "output_unwritable",
    70,
    "Standard output cannot be written: {reason}.",
)
DAEMON_RUNNING = _kind(
    -32034,
    "daemon_running",
    1,
    "A daemon already owns {path} (pid {pid}).",
    "Use it, or stop it with `marathonctl daemon stop`.",
)
TOO_MANY_CONNECTIONS = _kind(
    -32039,
    "too_many_connections",
    69,
    "The daemon has {limit} connections, as many as it takes.",
    "Close some, or raise connections_max in config.toml.",
)
LOCK_HELD = _kind(
    -32035,
    "lock_held",
    1,
    "Session {session} is already being worked on ({reason}).",
    "Follow it with `marathonctl tail`, or try again later.",
)
GIT_UNUSABLE = _kind(-32036, "git_unusable", 70, "Marathon works with git, and {reason}.", "Install git 2.38 or newer.")
CHECKOUT_BUSY = _kind(
    -32037,
    "checkout_busy",
    1,
    "Session {owner} is at work in the checkout {repo}.",
    'Wait for it to end, or use isolation = "worktree".',
)
NOT_PERMITTED = _kind(-32040, "not_permitted", 77, "{reason}.", "{hint}")
CONSENT_NEEDED = _kind(
    -32041,
    "consent_needed",
    77,
    "Agent {agent!r} runs without asking before it acts, and this contract gives it no sandbox.",
    "Say `--unsandboxed` if that is what you want, or set unsandboxed = true in config.toml.",
)

# --- the gate and the end of sessions: 2, 3, 4, 5, 130 ------------------------------------------------
GATE_REFUSED = _kind(
    -32050,
    "gate_refused",
    2,
    "Session {session} cannot be resumed: {reason}.",
    "{hint}",
)
PARTIAL_ARTIFACTS = _kind(
    -32051,
    "partial_artifacts",
    3,
    "Session {session} is only partly there: {reason}.",
    "Restore the state folder from a backup; nothing was executed or changed.",
)
ENVIRONMENT_UNREADABLE = _kind(
    -32058,
    "environment_unreadable",
    3,
    "The stored environment of session {session} cannot be read: {reason}.",
    "`marathonctl resume {session}`, from a shell that has the values, stores them anew.",
)
HEAD_AHEAD = _kind(
    -32052,
    "head_ahead",
    2,
    "The ledger is shorter than the head kept beside it says (entry {head}, found {found}): entries are missing.",
    "Restore the ledger, or accept the loss with `marathond --accept-head`.",
)
HEAD_UNSOUND = _kind(
    -32056,
    "head_unsound",
    2,
    "The head kept beside the ledger does not vouch for it: {reason}.",
    "Restore the state folder from a backup, or accept the ledger as it is with `marathond --accept-head`.",
)
BLOB_UNSOUND = _kind(
    -32057,
    "blob_unsound",
    3,
    "The stored file {name} {reason}.",
    "Restore the state folder from a backup; `marathonctl verify` names every file that is damaged.",
)
