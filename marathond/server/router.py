"""The one table of methods."""

from typing import Final

from marathond.server.method import Method
from marathond.server.methods import (
    attempt_ask,
    attempt_attach,
    attempt_output,
    attempt_progress,
    contract_check,
    contract_show,
    daemon_info,
    daemon_stop,
    ledger_read,
    ledger_subscribe,
    ledger_unsubscribe,
    ledger_verify,
    rpc_discover,
    session_abort,
    session_amend,
    session_answer,
    session_diff,
    session_halt,
    session_list,
    session_resume,
    session_retry,
    session_start,
    session_status,
    session_task,
    session_why,
)

_ROWS: Final = (
    session_start.METHOD,
    session_resume.METHOD,
    session_retry.METHOD,
    session_halt.METHOD,
    session_abort.METHOD,
    session_answer.METHOD,
    session_amend.METHOD,
    session_status.METHOD,
    session_list.METHOD,
    session_why.METHOD,
    session_task.METHOD,
    session_diff.METHOD,
    contract_check.METHOD,
    contract_show.METHOD,
    ledger_read.METHOD,
    ledger_subscribe.METHOD,
    ledger_unsubscribe.METHOD,
    ledger_verify.METHOD,
    attempt_output.METHOD,
    attempt_progress.METHOD,
    attempt_ask.METHOD,
    attempt_attach.METHOD,
    daemon_info.METHOD,
    daemon_stop.METHOD,
    rpc_discover.METHOD,
)

METHODS: Final[dict[str, Method]] = {method.name: method for method in _ROWS}
"""Every method by its name, in the order of the documentation."""
