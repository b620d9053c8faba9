"""A sheet of paper for a class: a slip for each learner, to be cut out."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from rpclab.broker.paths import write_privately
from rpclab.broker.tls import CA_VARIABLE
from rpclab.classroom.roster import Learner

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 11pt/1.45 system-ui, sans-serif; color: #111; margin: 1em auto; max-width: 19cm; }}
section {{ border: 1px dashed #777; padding: 0.5cm 0.7cm; margin: 0 0 0.4cm; break-inside: avoid; }}
h1 {{ font-size: 13pt; }} h2 {{ font-size: 13pt; margin: 0 0 0.2cm; }}
p {{ margin: 0.15cm 0; }} small {{ color: #444; }}
pre {{ font: 9.5pt/1.5 ui-monospace, monospace; margin: 0.1cm 0; white-space: pre-wrap; overflow-wrap: anywhere; }}
@media print {{ h1 {{ display: none; }} body {{ margin: 0; }} }}
</style>
</head>
<body>
<h1>{title}: cut along the lines. This sheet has passwords.</h1>
{slips}
</body>
</html>
"""
SLIP = """<section>
<h2>{name}</h2>
<p>User <b><code>{user}</code></b>, password <b><code>{password}</code></b></p>
<p>Type this in a terminal, in the course's folder, and then <code>make lab</code>:</p>
<pre>{unix}</pre>
<p>On Windows, in PowerShell, and then <code>python -m rpclab lab</code>:</p>
<pre>{windows}</pre>
<p><small>Your labs on the broker's own pages: {management}{authority}</small></p>
</section>"""
AUTHORITY = f" A private authority signed the broker's certificate: also set {CA_VARIABLE} to its file."


def write(file: Path, learners: Sequence[Learner], class_name: str, own_authority: bool) -> None:
    """Write the sheet as a page to be printed, readable by its owner alone.

    Parameters
    ----------
    file : Path
        The file.
    learners : sequence of Learner
        The learners who get a slip.
    class_name : str
        The class; may be empty.
    own_authority : bool
        Whether learners must name the file of a certificate authority.
    """
    title = f"Class {class_name}" if class_name else "Class"
    slips = "\n".join(_slip(learner, own_authority) for learner in learners)
    write_privately(file, PAGE.format(title=escape(title), slips=slips))


def _slip(learner: Learner, own_authority: bool) -> str:
    variables = {"RPCLAB_BROKER": learner.url, "RPCLAB_MANAGEMENT": learner.management}
    values = {
        "name": learner.name,
        "user": learner.user,
        "password": learner.password,
        "unix": "\n".join(f"export {name}='{value}'" for name, value in variables.items()),
        "windows": "\n".join(f"$env:{name} = '{value}'" for name, value in variables.items()),
        "management": learner.management,
        "authority": AUTHORITY if own_authority else "",
    }
    return SLIP.format(**{key: escape(value) for key, value in values.items()})
