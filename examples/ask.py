"""Start the chat app, ask it one question as any client would, print the answer with its sources, and end the app.

python examples/ask.py "How do I get a certificate?" --model local
"""

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx


def main() -> None:
    """Ask what the first argument says; the others are options of `rageval chat`."""
    sys.stdout.reconfigure(errors="replace")  # not every terminal shows every character
    question, *options = sys.argv[1:] or ["How do I get a ground-truth set?"]
    command = [Path(sys.executable).with_name("rageval"), "chat", "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as app:  # noqa: S603 - our own command
        try:
            url = _address(app)
            # Whatever proxy the environment names, the app is on this machine.
            asked = httpx.post(f"{url}/api/ask", json={"question": question}, timeout=180, trust_env=False)
            reply = asked.raise_for_status().json()
            print(f"\nQuestion  {question}\nAnswer    {reply['answer'].strip()}\nSources")
            for source in reply["sources"]:
                print(f"  {source['document_id']}  {source['score']:.2f}  {source['question']}")
        finally:
            app.send_signal(signal.SIGINT)  # it ends once everything is stored
            app.communicate(timeout=60)


def _address(app: "subprocess.Popen[str]") -> str:
    """Return where the app listens, as soon as it says so; what it says is passed on."""
    for line in app.stderr or ():
        print(line, end="", file=sys.stderr)
        if found := re.search(r"https?://\S+", line):
            return found[0].rstrip("/")
    raise SystemExit("the chat app has not started; what is wrong stands above")


if __name__ == "__main__":
    main()
