"""`rageval server`: the Prefect server that runs from the command line leave running for the next one."""

import os
import sys
import webbrowser
from datetime import UTC, datetime
from typing import Annotated

import typer

from flows.local_server.keep_setting import why_not_kept
from flows.starting import import_prefect
from rageval.pages.formats import duration
from rageval.text.terminal import console, plain

app = typer.Typer(add_completion=False, rich_markup_mode="rich", invoke_without_command=True)


@app.callback()
def server(context: typer.Context) -> None:
    """Show the Prefect server that is kept running for your next run, open its UI, or stop it.

    Where PREFECT_API_URL names none, a run starts a server on this machine, for you alone, and leaves it running: the
    next run need not wait for one. It ends by itself after 20 minutes without a request. RAGEVAL_KEEP_SERVER says
    `no`, or another number of minutes; in CI and in containers none is kept.

    Examples:

    rageval server

    rageval server open

    rageval server stop
    """
    if context.invoked_subcommand is None:
        _show()


@app.command("open")
def open_ui() -> None:
    """Open the server's UI, without typing its password; one is started if there is none.

    The address that is printed works once, and for a minute.

    Example:

    rageval server open
    """
    import_prefect()
    from flows.local_server.control import ui_address

    with console.status("Looking for Prefect's server ..."):
        address = ui_address()
    console.print(plain(address), highlight=False, soft_wrap=True)
    if sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        webbrowser.open(address)


@app.command()
def stop(
    force: Annotated[bool, typer.Option("--force", help="Also if a run uses it.")] = False,
) -> None:
    """End the server.

    Example:

    rageval server stop
    """
    import_prefect()
    from flows.local_server.control import end_kept

    ended = end_kept(force=force)
    console.print("The server is stopped." if ended else "No server is kept running.")


@app.command()
def env() -> None:
    """Print the variables by which Prefect's own commands use the server, with its password.

    A shell takes them by `eval "$(rageval server env)"`; after that `prefect flow-run ls` lists your runs.

    Example:

    rageval server env
    """
    import_prefect()
    from flows.local_server.control import kept_variables

    for name, value in kept_variables().items():
        print(f"export {name}={value}")


def _show() -> None:
    import_prefect()
    from flows.local_server.control import kept_status

    found = kept_status()
    if found is None:
        why = why_not_kept()
        console.print(
            f"No server is kept running{f', and none will be: {plain(why)}' if why else '; the next run starts one'}.",
            highlight=False,
        )
        return
    idle = "does not answer; the next run replaces it"
    if found.idle_s is not None and found.ends_after_s is not None:
        idle = f"{duration(found.idle_s)}; it ends after {duration(found.ends_after_s)} without a request"
    age = duration((datetime.now(UTC) - found.since).total_seconds())
    rows = {
        "address": found.address,
        "process": f"{found.pid}",
        "Prefect": found.prefect,
        "since": f"{found.since.astimezone():%Y-%m-%d %H:%M} ({age})",
        "idle": idle,
        "memory": f"{found.memory_bytes / 1e6:,.0f} MB",
        "used by": f"{found.runs} process{'' if found.runs == 1 else 'es'}",
        "log": str(found.log),
    }
    for name, value in rows.items():
        console.print(f"{name:<8}  {plain(value)}", highlight=False, soft_wrap=True)
