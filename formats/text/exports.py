"""What programs, and people, call the columns of their tables of fixations: a record for each.

A title is compared without case, blanks, underscores and its unit: `Fixation point X [MCS px]`,
`x_px` and `RecordingTimestamp (ms)` are fixationpointx, x and recordingtimestamp.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from errors import UsageError
from formats.hdf5 import printable

PIXELS = ("px", "pixel", "pixels")
SECONDS = {"s": 1, "sec": 1, "ms": 1e-3, "msec": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6}
LONGEST = 200  # characters of a title that are looked at
TITLE = re.compile(r"(.*?)[\s_]*(?:[\[(]([^\[\]()]*)[\])]|[\s_](px|pixels?|s|sec|ms|msec|us|deg))")


@dataclass(frozen=True)
class Title:
    """A title in a header: its column, its text, the name and the unit in it ("": pixels)."""

    column: int
    text: str
    name: str
    unit: str

    @classmethod
    def of(cls, column: int, text: str) -> "Title":
        """Take a title apart."""
        match = TITLE.fullmatch(text[:LONGEST].strip().lower())
        name, unit = (match[1], match[2] or match[3] or "") if match else (text, "")
        name, unit = re.sub(r"[\s_.-]", "", name.lower()), re.sub(r"\s", "", unit)
        return cls(column, text, name, "" if unit in PIXELS else unit)


@dataclass(frozen=True)
class Layout:
    """The columns of one kind of table.

    signature: a table with these names is of this kind.
    columns: what each field may be called: groups of names, the best first; two names of one
        group in one table would mean the same.
    needs: the fields that must be there.
    frames: units that x and y may be in, the best first, and what makes pixels of the picture
        of them: a function of x, y, width and height, or None where they are that.
    seconds: what t and duration are times, where their titles name no unit.
    kind: what the field `kind` must be in rows that are fixations.
    note: what is to be said of such a table; cure: of one without x and y in such units.
    """

    name: str
    columns: Mapping[str, tuple[set[str], ...]]
    needs: tuple[str, ...] = ("image", "x", "y")
    signature: frozenset[str] = frozenset()
    frames: Mapping[str, Callable | None] = field(default_factory=lambda: {"": None})
    seconds: Mapping[str, float] = field(default_factory=dict)
    kind: str = ""
    note: str = ""
    cure: str = ""

    def find(self, titles: list[Title]) -> dict[str, Title]:
        """Return the title of each field that is there; raise UsageError where one is missing, two
        mean the same, or one has a unit that is none of its."""
        fields = {name: self.title(name, titles) for name in self.columns}
        missing = [name for name in self.needs if fields[name] is None]
        if missing:
            listed = printable(", ".join(title.text for title in titles)[:300]) or "nothing"
            raise UsageError(
                f"line 1 has no column {missing[0]!r}: found {listed}; needed are "
                f"{', '.join(self.needs)}{self.cure and '; '}{self.cure}"
            )
        if fields.get("x") and fields["x"].unit != fields["y"].unit:
            raise UsageError(f"{fields['x'].text!r} and {fields['y'].text!r} are in two units")
        return {name: title for name, title in fields.items() if title}

    def title(self, name: str, titles: list[Title]) -> Title | None:
        """Return a field's title, of coordinates the one in the best unit; raises UsageError."""
        for names in self.columns[name]:
            called = [title for title in titles if title.name in names]
            fitting = [t for unit in self.units(name) for t in called if t.unit == unit]
            if name in ("x", "y"):
                fitting = [title for title in fitting if title.unit == fitting[0].unit]
            if len(fitting) > 1:
                first, second = (printable(title.text) for title in fitting[:2])
                raise UsageError(
                    f"two columns are {name}: {first!r} and {second!r}; keep one of them"
                )
            if fitting:
                return fitting[0]
            if called:
                allowed = ", ".join(filter(None, self.units(name))) or "pixels"
                raise UsageError(
                    f"{name} is {printable(called[0].text)!r}, which is not in {allowed}"
                    f"{self.cure and '; '}{self.cure}"
                )
        return None

    def units(self, name: str) -> list[str]:
        """Return the units that a field may have, the best first."""
        if name in ("x", "y"):
            return list(self.frames)
        return [*SECONDS, ""] if name in ("t", "duration", "order") else [""]

    def factor(self, title: Title, name: str) -> float:
        """Return what a column is times, to be seconds where it is a time."""
        return SECONDS.get(title.unit, self.seconds.get(name, 1))


def words(text: str) -> tuple[set[str]]:
    """Return the names in a text as one group of Layout.columns."""
    return (set(text.split()),)


def of_fractions(x, y, width, height):
    """Return pixels of a picture from fractions of its width and height."""
    return x * width, y * height


IMAGE = words(
    "image imagename imagefile imagefilename img picture picturename filename file stimulus "
    "stimulusname stimulusfile stimuli stim photo medianame presentedmedianame "
    "presentedstimulusname"
)
SPLIT = {"image": IMAGE, "split": words("split")}
OWN = Layout(
    "",
    SPLIT
    | {
        "subject": words(
            "subject subjectid subjectname subj participant participantid participantname "
            "observer observerid user userid viewer"
        ),
        "x": words("x fixationx fixx xfix posx xpos positionx xcoordinate xcoord coordx"),
        "y": words("y fixationy fixy yfix posy ypos positiony ycoordinate ycoord coordy"),
        "t": words("t time timestamp start starttime onset fixationstart fixationonset fixstart"),
        "duration": words("duration dur fixationduration fixationdur fixduration fixdur"),
        "order": words("order fixationorder fixationindex fixationnumber fixindex fixnumber"),
        "trial": words("trial trialid trialindex trialnumber viewing"),
    },
)
# Pro Lab's and Studio's have a row a sample; t without a unit is milliseconds in some versions and
# microseconds in others, and so only an order.
TOBII = Layout(
    "Tobii",
    {
        "image": (*words("presentedmedianame medianame"), *words("presentedstimulusname")),
        "subject": words("participantname"),
        "recording": words("recordingname"),
        "kind": words("eyemovementtype gazeeventtype"),
        "index": words("eyemovementtypeindex fixationindex"),
        "x": words("fixationpointx"),
        "y": words("fixationpointy"),
        "t": words("recordingtimestamp"),
        "order": words("recordingtimestamp"),
        "duration": (*words("gazeeventduration"), *words("eyemovementeventduration")),
    },
    needs=("image", "subject", "kind", "index", "x", "y"),
    signature=frozenset({"fixationpointx", "fixationpointy"}),
    frames={"mcspx": None, "mcsnorm": of_fractions},
    seconds={"t": float("nan"), "duration": 1e-3},
    kind="fixation",
    cure="export 'Fixation point X' and 'Y' in MCS px or MCS norm, the picture's coordinates: "
    "those without a unit and DACS are the screen's",
)
EYELINK = Layout(
    "EyeLink",
    {
        "image": IMAGE,
        "subject": words("recordingsessionlabel"),
        "x": words("currentfixx"),
        "y": words("currentfixy"),
        "t": words("currentfixstart"),
        "duration": words("currentfixduration"),
        "order": words("currentfixindex"),
        "trial": words("trialindex"),
        "split": words("split"),
    },
    needs=("image", "subject", "x", "y"),
    signature=frozenset({"currentfixx", "currentfixy"}),
    seconds={"t": 1e-3, "duration": 1e-3},
    note="CURRENT_FIX_X and _Y are pixels of the screen and taken as the picture's, which is right "
    "where it was shown at its own size from the upper left corner",
)
LAYOUTS = (TOBII, EYELINK, OWN)
SPLIT_FILE = Layout("", SPLIT, needs=("image", "split"))
# Words for the sides of a split.
CALLED = {"train": "train", "training": "train", "test": "test", "testing": "test"}
CALLED |= dict.fromkeys(("val", "valid", "validation", "dev"), "valid")
