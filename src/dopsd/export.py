"""A run's weights for other programs: `python -m dopsd.export runs/train/<time> to=peft|merged|official`."""

from collections.abc import Sequence
from pathlib import Path

from dopsd.config.errors import UserError
from dopsd.entry.plain import plain_command

FORMATS = ("peft", "merged", "official")
HELP = """\
Write a run's weights for other programs.

  python -m dopsd.export runs/train/<time> to=merged
  python -m dopsd.export runs/train/<time>/weights/final to=official out=DIR

RUN   a run's directory (its best weights), or its weights/best or weights/final
to    peft       the adapter in PEFT format, on the module names of the official LLaDA (blocks.N.attn_out, ...); as it
                 stands in weights/ it fits the same model under the names of Llama (layers.N.self_attn.o_proj, ...)
      merged     all weights with the adapter folded in, and the tokenizer: model.path=DIR reads it
      official   the same with a config.json that LLaDA's own code reads (trust_remote_code=True), and public samplers
out   a directory that does not exist or is empty; default: RUN/export/FORMAT
"""


def export(run: Path, which: str, to: str, out: Path) -> None:
    """Writes the `which` weights of a run to a directory; raises UserError."""
    from dopsd.config.build import required  # noqa: PLC0415  (slow to import: --help answers without them)
    from dopsd.config.saved import WEIGHTS, read_saved  # noqa: PLC0415
    from dopsd.model import CheckpointError, load_adapter, save_merged, save_official_adapter  # noqa: PLC0415

    saved, directory = read_saved(run, "RUN"), run / WEIGHTS / which
    if not directory.is_dir():
        raise UserError(f"{run}: the run has no {which} weights yet")
    if to == "peft" and saved.lora is None:
        raise UserError(f"to=peft: {run} has no adapter (lora=none); merged and official work")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"out={out}: must be a directory that does not exist or is empty")
    try:
        if to == "peft":
            save_official_adapter(directory, out, base=saved.model.path)
            return
        model = required(saved, "model")
        plain = {"quantization": None, "compile": False, "attention": "sdpa"}
        if saved.lora is None:
            network = model(path=str(directory), init="pretrained", **plain)
        else:
            network = load_adapter(model(**plain), directory)
        save_merged(network, out, official=to == "official")
    except CheckpointError as error:
        raise UserError(f"{run}: {error}") from error
    except OSError as error:
        raise UserError(f"out={out}: cannot be written ({error.strerror or error})") from error


def _asked(arguments: Sequence[str]) -> tuple[Path, str, str, Path]:
    """The run, which of its weights, the format and where to; raises UserError."""
    from dopsd.config.weights import weights_at  # noqa: PLC0415

    given = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        key, value = (key, value) if equals and key in ("to", "out") else ("RUN", argument)
        if key in given:
            raise UserError(
                f"{argument}: {key} is there already ({given[key]}); only RUN, to= and out= are read"
            )
        given[key] = value
    if "RUN" not in given:
        raise UserError("RUN is missing: python -m dopsd.export RUN to=peft|merged|official")
    if given.get("to") not in FORMATS:
        raise UserError(f"to={given.get('to', '')}: must be one of {', '.join(FORMATS)}")
    found = weights_at(given["RUN"], "best", key="RUN")
    if len(found) != 1 or found[0].run is None:
        raise UserError(f"RUN={given['RUN']}: must be one run's directory, or its weights/final")
    out = given.get("out", found[0].run / "export" / given["to"])
    return found[0].run, found[0].which, given["to"], Path(out).expanduser()


def _job(arguments: Sequence[str]) -> str:
    run, which, to, out = _asked(arguments)
    export(run, which, to, out)
    return f"{which} weights of {run} as {to}: {out}"


def main() -> None:
    """The console script."""
    plain_command(_job, manual=HELP, needs_arguments=True)


if __name__ == "__main__":
    main()
