"""What a run or its weights have seen, and refusals to go on with other data or to score on it."""

from collections.abc import Mapping, Sequence

from absl import logging

from errors import UsageError
from model.checkpoints.runs import Run, chain_of


def refuse_changed(run: Run, before: Mapping | None, now: Mapping | None) -> None:
    """Raise UsageError where pictures that a run trains or validates on, or what is known of them,
    are others by now."""
    if change := changes(before, now, ("train", "valid")):
        raise UsageError(
            f"{run.name} was trained on other data: {change}; --fresh starts it anew, --name NAME "
            "calls this run something else"
        )


def changes(
    before: Mapping | None, now: Mapping | None, sides: Sequence[str] = ("train", "valid", "test")
) -> str:
    """Return in words how many pictures of some sides, or what is known of them, are others by now,
    and the first; "" where none is. The records of splits have for each name the digest of the
    picture, then that of its truth."""
    if not (before and now):
        return ""
    was, is_ = ({n: d for side in sides for n, d in r[side].items()} for r in (before, now))
    changed = [name for name in was if was[name] and was[name] != is_.get(name, was[name])]
    if not changed:
        return ""
    same = is_[changed[0]][:16] in ("", was[changed[0]][:16])
    what = "its fixations, map or blur" if same else "the picture itself"
    return f"{len(changed)} pictures have changed since, first '{changed[0]}' ({what})"


def same_corpus(name: str, trained: Mapping | None, corpus, digests: Mapping[str, str]) -> bool:
    """Return whether what was trained on a corpus called so was on this one: by its name, and of a
    folder without a class by a picture, too.

    Args:
        trained: the digests of the pictures that it was trained on, empty where not known.
        digests: those of pictures of the corpus.
    """
    if name != corpus.name or not corpus.own:
        return name == corpus.name
    return any((trained or {}).get(n) in ("", digest) for n, digest in digests.items())


def refuse_seen(
    about: Mapping, corpus, samples: Sequence, what: str, held: bool = True, known: Sequence = ()
) -> None:
    """Raise UsageError where weights have seen samples of a corpus in training, or, with `held`,
    were chosen by them.

    The weights' own run and all that it was fine-tuned from count; a picture is the same by its
    name in the same corpus, by its pixels in another or where it bears another name by now; a copy
    that was scaled or saved anew is another picture: that is said. Where it is not known what one
    was trained on, a warning.

    Args:
        about: what the JSON beside the weights says.
        what: how the error begins, `NAME cannot be tested`.
        known: more samples of the corpus, by which it is known (same_corpus).
    """
    elsewhere: set[str] = set()
    for seen in chain_of(about, "the run"):
        if seen["train"] is None:
            logging.warning(
                "which pictures %s was trained on is not known; whether any of these %d is among "
                "them could not be checked", seen["run"], len(samples),
            )  # fmt: skip
            continue
        same = same_corpus(seen["corpus"], seen["train"], corpus, {s.name: s.digest for s in known})
        for side, saw in (("train", "was trained on"), ("held", "chose its epoch by")):
            shown = seen.get(side, {}) if held or side == "train" else {}
            # Corpora have pictures twice, and their splits are what they are: there names tell.
            names = {*shown} if same else set()
            digests = {d for n, d in shown.items() if not (same and n in corpus.stimuli)} - {""}
            elsewhere |= set() if same else digests
            again = [s.name for s in samples if s.name in names or s.digest in digests]
            if again:
                by = "name" if again[0] in names else "pixels"
                raise UsageError(
                    f"{what}: {seen['run']} {saw} {len(again)} of the {len(samples)} pictures, "
                    f"first {again[0]!r}, the same by {by}; take others, or weights that have not "
                    "seen them"
                )
    if elsewhere:
        logging.info(
            "none of the %d pictures is, pixel by pixel, one of %d of other corpora that the "
            "weights have seen; copies that were scaled or saved anew are not noticed here: "
            "inspect compares the pictures of a corpus by what they show",
            len(samples), len(elsewhere),
        )  # fmt: skip
