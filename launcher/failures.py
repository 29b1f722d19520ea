"""Everything that can end a command early, each with its own exit code."""

EXIT_MEANINGS = {
    0: "done",
    1: "set-up failed, a test failed, or a result could not be written",
    2: "wrong arguments, an unreadable workflow, a missing input file",
    3: "the server refused the workflow (validation error)",
    4: "a node failed while the workflow ran (execution error)",
    5: "the server did not start, stopped, stopped answering, or named files outside the folder of --out",
    130: "stopped by Ctrl-C (the running workflow is interrupted)",
}
EXIT_CODES = "\n".join(["exit codes:", *(f"  {code:<4} {meaning}" for code, meaning in EXIT_MEANINGS.items())])


class Failure(Exception):
    """A command cannot go on. ``str()`` is the whole message for the user; ``exit_code`` is the process's."""

    exit_code = 1


class SetupFailed(Failure):
    """One step of the set-up failed.

    Args:
        step: what was being done ("Install PyTorch").
        reason: what went wrong.
        remedy: what the user can do about it.
        details: the last lines of the failing tool's output, if they help.
    """

    def __init__(self, step: str, reason: str, remedy: str, details: str = ""):
        self.step, self.reason, self.remedy = step, reason, remedy
        text = f"The step '{step}' failed: {reason}\n{remedy}"
        super().__init__(f"{text}\n\n{details.rstrip()}" if details.strip() else text)


class UsageMistake(Failure):
    """Wrong arguments or an unusable file named by them."""

    exit_code = 2


class ValidationFailed(Failure):
    """The server refused a prompt. ``node_errors`` is the server's own report: node id -> errors."""

    exit_code = 3

    def __init__(self, message: str, node_errors: dict | None = None):
        super().__init__(message)
        self.node_errors = node_errors or {}


class ExecutionFailed(Failure):
    """A node raised while a prompt ran.

    Attributes:
        node_id, node_type: the node that failed.
        exception_type: the exception's class name, e.g. "BetwixtError".
        message: the node's own text, without traceback.
        traceback: the server's traceback as one string.
        prompt_id: under which the outputs that were finished before can still be fetched.
    """

    exit_code = 4

    def __init__(self, prompt_id: str, event: dict):
        self.prompt_id = prompt_id
        self.node_id = str(event.get("node_id"))
        self.node_type = str(event.get("node_type"))
        self.exception_type = str(event.get("exception_type", "")).rsplit(".", 1)[-1]
        self.message = str(event.get("exception_message", "")).strip()
        trace = event.get("traceback") or []
        self.traceback = trace if isinstance(trace, str) else "".join(trace)
        super().__init__(f"Node {self.node_id} ({self.node_type}) failed: {self.exception_type}: {self.message}")


class ServerLost(Failure):
    """The server did not start, went away, or stopped answering."""

    exit_code = 5


class ServerRefused(Failure):
    """The server answered a request with an HTTP error. ``status`` and ``body`` are its answer's."""

    exit_code = 5

    def __init__(self, url: str, status: int, body: bytes):
        self.status, self.body = status, body
        if status in (401, 403) or (status == 200 and b"<html" in body[:2000].lower()):
            said = f"HTTP status {status}" if status != 200 else "a web page, probably a login"
            text = f"The server answered {url} with {said}; it wants credentials. Give them with --header "
            text += "'Authorization: Bearer TOKEN' (or --header 'Cookie: ...'), or in the address: "
            super().__init__(text + "http://name:password@host.")
        else:
            super().__init__(f"The server answered {url} with HTTP status {status}; is it a ComfyUI?")


class UntrustedNames(Failure):
    """A server named output files that would be written outside the folder for them."""

    exit_code = 5

    def __init__(self, names: list[str], folder, others: int):
        listed = ", ".join(repr(name[:100]) for name in names[:3]) + (", ..." if len(names) > 3 else "")
        super().__init__(
            f"The server named {len(names)} output files that do not belong into {folder}: {listed}. They were not "
            f"written. The other {others} files were. Do not trust this server, or tell whoever runs it."
        )


class Interrupted(Failure):
    """The prompt was interrupted, by Ctrl-C here or by somebody else on the same server."""

    exit_code = 130
