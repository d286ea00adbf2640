"""Every limit of the system, named with its unit last, in one place.

Standard library only: the client imports it too.
"""

from typing import Final

# --- socket -----------------------------------------------------------------------------------------
FRAME_BYTES_MAX: Final = 1024 * 1024
FRAME_HEADER_BYTES_MAX: Final = 4096
FRAME_DEPTH_MAX: Final = 64
FRAME_UNFINISHED_SECONDS_MAX: Final = 10.0
CONNECTIONS_MAX: Final = 2048
CONNECTIONS_UNFINISHED_MAX: Final = 512
REQUESTS_PENDING_MAX: Final = 8
FEEDS_MAX: Final = 64
BATCH_ITEMS_MAX: Final = 256
SEND_QUEUE_BYTES_MAX: Final = 4 * 1024 * 1024
SOCKET_PATH_BYTES_MAX: Final = 107
READ_PAGE_ENTRIES_MAX: Final = 500
OUTPUT_PAGE_BYTES_MAX: Final = 256 * 1024
PROTOCOL_MIN: Final = 1
PROTOCOL_MAX: Final = 1

# --- ledger -----------------------------------------------------------------------------------------
ENTRY_BYTES_MAX: Final = 256 * 1024
REASON_CHARS_MAX: Final = 4000  # of one reason in an entry
INTEGER_MAX: Final = 2**53 - 1
HEAD_INTERVAL_SECONDS: Final = 1.0
BATCH_PROPOSALS_MAX: Final = 256
DECIDE_ROUNDS_MAX: Final = 10_000
SCHEMA_VERSION: Final = 1
WAL_IDLE_SECONDS: Final = 10.0
VERIFY_PROBLEMS_MAX: Final = 1000

# --- contract ---------------------------------------------------------------------------------------
CONTRACT_BYTES_MAX: Final = 16 * 1024 * 1024  # of the file, and of the frozen text: room for TASKS_MAX tasks
PROMPT_BYTES_MAX: Final = 256 * 1024
TASKS_MAX: Final = 10_000
CHECKS_MAX: Final = 100
NAME_CHARS_MAX: Final = 64
TEXT_CHARS_MAX: Final = 16 * 1024  # of a goal, a shell line, a path, a pattern
PROBLEMS_MAX: Final = 1_000
CONTRACT_DEPTH_MAX: Final = 16
SETUP_LINES_MAX: Final = 100
VARIABLES_MAX: Final = 1_000
ENV_NAMES_MAX: Final = 1_000
BRANCH_BYTES_MAX: Final = 200
PLANNING_GIT_SECONDS_MAX: Final = 30.0
ATTEMPTS_MAX: Final = 100
PARALLEL_MAX: Final = 64
ATTEMPTS_DEFAULT: Final = 3
TIMEOUT_DEFAULT_MS: Final = 40 * 60_000
IDLE_DEFAULT_MS: Final = 10 * 60_000
CHECK_TIMEOUT_DEFAULT_MS: Final = 10 * 60_000
SETUP_TIMEOUT_MS: Final = 30 * 60_000
PARALLEL_DEFAULT: Final = 2
DURATION_MAX_MS: Final = 366 * 24 * 3_600_000

# --- attempts ---------------------------------------------------------------------------------------
OUTPUT_BYTES_MAX: Final = 64 * 1024 * 1024
OUTPUT_LINE_BYTES_MAX: Final = 8 * 1024 * 1024
REDACT_CARRY_BYTES_MAX: Final = 64 * 1024
STOP_GRACE_MS: Final = 3_000
START_TIMEOUT_SECONDS: Final = 20.0
FINAL_TEXT_BYTES_MAX: Final = 32 * 1024
ATTACHMENT_BYTES_MAX: Final = 16 * 1024 * 1024
ATTEMPT_NOTES_MAX: Final = 1_000  # of its progress and attachments, together
ATTEMPT_QUESTIONS_MAX: Final = 32
SECRET_BYTES_MIN: Final = 8
SUPERVISOR_PROTOCOL: Final = 1

# --- checks -----------------------------------------------------------------------------------------
SEARCH_BYTES_MAX: Final = 16 * 1024 * 1024  # of a file that a check looks into
SEARCH_CPU_SECONDS_MAX: Final = 5  # for one regular expression

# --- engine -----------------------------------------------------------------------------------------
BACKOFF_FIRST_MS: Final = 10_000
BACKOFF_MAX_MS: Final = 3_600_000
API_BACKOFF_FIRST_MS: Final = 30_000
API_BACKOFF_MAX_MS: Final = 15 * 60_000
QUOTA_UNKNOWN_FIRST_MS: Final = 15 * 60_000
QUOTA_UNKNOWN_MAX_MS: Final = 4 * 3_600_000
LOST_IN_A_ROW_MAX: Final = 3
CONFLICTS_IN_A_ROW_MAX: Final = 3
HANDOVER_SECONDS_MAX: Final = 2.0
HALT_SECONDS_MAX: Final = 30.0
ENDED_SESSIONS_KEPT: Final = 200
SCRUB_SECONDS_MAX: Final = 3600.0

# --- workspaces ---------------------------------------------------------------------------------------
GIT_SECONDS_MAX: Final = 900.0  # of one call, its filters included
GIT_GRACE_SECONDS: Final = 1.0  # for a call that nobody wants any more: to end by itself, and again after SIGTERM
GIT_ORPHANS_SECONDS_MAX: Final = 30.0
INCLUDE_FILES_MAX: Final = 2_000
INCLUDE_BYTES_MAX: Final = 256 * 1024 * 1024
DIFF_BYTES_MAX: Final = 512 * 1024
PATCH_BYTES_MAX: Final = 32 * 1024
BRANCH_SUFFIX_MAX: Final = 1_000
SECRET_WINDOW_BYTES: Final = 8 * 1024 * 1024
